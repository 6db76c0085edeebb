// Every table of the store, as rows are read and written. Times are milliseconds since 1970; booleans are 0 or 1; *_json columns hold JSON text;
// *_key columns hold the lower-cased name that look-ups use. Secret columns hold sealed or hashed bytes only.

export interface Tables {
  meta: { key: string; value: string };

  principals: {
    id: string;
    kind: 'user' | 'servicePrincipal' | 'group';
    display_name: string;
    /** Users only; unique without regard to case through upn_key. */
    upn: string | null;
    upn_key: string | null;
    /** Service principals only: the client id. */
    app_id: string | null;
    enabled: number;
    created_at: number;
    /** What else the directory shows: names, mail, a group's description. */
    details_json: string;
    /** Goes up when the principal's tokens end; a token carries the one it was made under. */
    session: number;
    /** When it last went up: tokens of other issuers from before are refused. */
    valid_from: number;
    /** Managed identities only: the resource that the identity is. */
    resource_id: string | null;
  };

  /** What a service principal is made from; both have the same client id. */
  applications: {
    id: string;
    app_id: string;
    display_name: string;
    details_json: string;
    created_at: number;
  };

  /** `member_id` is a member of the group `object_id`, owns it, or holds that role of the directory. */
  links: {
    kind: 'member' | 'owner' | 'role';
    object_id: string;
    member_id: string;
    created_at: number;
  };

  credentials: {
    id: string;
    /** A user, a service principal or an application. */
    object_id: string;
    kind: 'password' | 'secret' | 'certificate' | 'header';
    /** scrypt hash with its parameters for password and secret; the certificate in PEM; SHA-256 of a managed identity's header. */
    verifier: string;
    display_name: string | null;
    not_before: number;
    expires_at: number | null;
    created_at: number;
  };

  /** Whose assertions an application or a managed identity may bring instead of a credential of its own. */
  federated_credentials: {
    id: string;
    object_id: string;
    name: string;
    issuer: string;
    subject: string;
    audiences_json: string;
    description: string | null;
    created_at: number;
  };

  /** Users who sign in somewhere else: the issuer, and what it calls them. */
  outside_identities: { issuer: string; subject: string; principal_id: string };

  /** Refresh tokens, device codes and authorization codes, looked up by the SHA-256 of what the client holds. */
  grants: {
    id: string;
    kind: 'refresh' | 'device' | 'code';
    client_id: string;
    principal_id: string | null;
    state: 'pending' | 'approved' | 'declined' | 'redeemed';
    data_json: string;
    /** The principal's number when the grant was made; another one since then ends the grant. */
    session: number;
    /** The sign-in that a refresh token comes from; they are taken back together. */
    family: string | null;
    /** When a refresh token was exchanged for the next one. */
    redeemed_at: number | null;
    expires_at: number;
    created_at: number;
  };

  /** Failures of sign-ins that several nodes count together; `key` is a hash of the name, the place, or both. */
  sign_in_failures: { key: string; failures: number; until: number };

  signing_keys: {
    kid: string;
    sealed: Uint8Array;
    public_json: string;
    certificate: string;
    created_at: number;
    /** A retired key signs nothing more but still verifies until this time. */
    retired_at: number | null;
  };

  subscriptions: { id: string; tenant_id: string; display_name: string };

  resource_groups: {
    subscription_id: string;
    name: string;
    name_key: string;
    location: string;
    tags_json: string;
    state: 'Succeeded' | 'Deleting';
    created_at: number;
  };

  /** The resource manager's view of an HSM, live or soft-deleted. The data plane's is in `hsms`, with the same id. */
  managed_hsms: {
    id: string;
    name: string;
    name_key: string;
    subscription_id: string;
    group_name: string;
    group_key: string;
    location: string;
    tags_json: string;
    sku_family: string;
    sku_name: string;
    /** What clients may set and get back unchanged: initial administrators, network rules, public access, identity. */
    settings_json: string;
    retention_days: number;
    purge_protection: number;
    created_by: string;
    created_by_type: string;
    created_at: number;
    modified_by: string;
    modified_by_type: string;
    modified_at: number;
    deleted_at: number | null;
    scheduled_purge_at: number | null;
  };

  /** Results of long-running resource-manager operations, kept for a day. */
  arm_operations: {
    id: string;
    subscription_id: string;
    /** Where it was started; null for those that an older version wrote. */
    scope: string | null;
    status: number;
    result_json: string | null;
    done_at: number;
    created_at: number;
  };

  arm_role_assignments: {
    id: string;
    /** `/subscriptions/{id}` or deeper, lower case. */
    scope: string;
    principal_id: string;
    role: 'Owner' | 'Contributor' | 'Reader' | 'Managed HSM contributor';
    /** In the spelling of what it names; null for those of the first start, which have none of their own. */
    shown_scope: string | null;
    /** As the client said it; null when it did not. */
    principal_type: string | null;
    description: string | null;
    /** Object id; null for those of the first start. */
    created_by: string | null;
    created_at: number;
    /** When it last changed, and by whom; null when it never did. */
    updated_by: string | null;
    updated_at: number | null;
  };

  /** The resource manager's view of a managed identity; what signs in is the principal. */
  managed_identities: {
    subscription_id: string;
    group_name: string;
    group_key: string;
    name: string;
    name_key: string;
    location: string;
    tags_json: string;
    principal_id: string;
    client_id: string;
    created_at: number;
  };

  hsms: {
    id: string;
    name: string;
    name_key: string;
    /** `restoring`: a backup is replacing what it holds; nothing but the restore's status is answered. */
    state: 'not-activated' | 'confirming' | 'active' | 'restoring';
    /** 1 while soft-deleted: nothing answers until it is recovered. */
    deleted: number;
    domain_id: string;
    sealed_domain_key: Uint8Array;
    /** When a confirming HSM becomes active, or an active one became it. In one that is not activated: its download was interrupted. */
    active_at: number | null;
    region: string;
    /** The regions that it was extended to; null is none. */
    other_regions_json: string | null;
    retention_days: number;
    purge_protection: number;
    /** From where it may be called; null is from everywhere. */
    network_json: string | null;
    /** While it is confirming: the run of the service that gave the download, and confirms it. */
    holder: string | null;
    created_at: number;
  };

  role_assignments: {
    hsm_id: string;
    /** The assignment's GUID. */
    name: string;
    /** `/`, `/keys` or `/keys/{name}`, as it is shown; scope_key is lower case. */
    scope: string;
    scope_key: string;
    role_definition_id: string;
    principal_id: string;
    created_at: number;
  };

  /** Custom roles; the built-in ones are in the code. */
  role_definitions: {
    hsm_id: string;
    /** A GUID in lower case. */
    name: string;
    role_name: string;
    description: string;
    scopes_json: string;
    actions_json: string;
    not_actions_json: string;
    created_at: number;
  };

  /** What was set; a setting that nobody has touched has no row. */
  hsm_settings: { hsm_id: string; name: string; value: string };

  keys: {
    hsm_id: string;
    name: string;
    name_key: string;
    deleted_at: number | null;
    scheduled_purge_at: number | null;
  };

  key_versions: {
    hsm_id: string;
    name_key: string;
    version: string;
    /** Grows with each version of one key: the latest has the highest. */
    sequence: number;
    sealed: Uint8Array;
    material_json: string;
    key_ops_json: string;
    enabled: number;
    /** Unix seconds, as the wire has them. */
    nbf: number | null;
    exp: number | null;
    exportable: number;
    /** Part of the seal, as is the release policy; null in rows from before it was kept. */
    origin: 'generated' | 'imported' | null;
    tags_json: string | null;
    release_policy_json: string | null;
    created: number;
    updated: number;
  };

  /** What a waiting HSM lets custodians encrypt its security domain to; gone once it has one. */
  exchange_keys: { hsm_id: string; certificate: Uint8Array; sealed: Uint8Array; created_at: number };

  /** Who certifies what HSMs sign before others: one for each purpose, under one root. */
  evidence_authorities: {
    purpose: 'release' | 'attestation';
    /** PEM: its own certificate, then the root's. */
    chain: string;
    sealed: Uint8Array;
    created_at: number;
  };

  evidence_signers: {
    hsm_id: string;
    purpose: 'release' | 'attestation';
    kid: string;
    /** The host that its certificate names. */
    host: string;
    /** PEM: its own certificate first, the root's last. */
    chain: string;
    sealed: Uint8Array;
    renew_at: number;
  };

  rotation_policies: {
    hsm_id: string;
    name_key: string;
    policy_json: string;
    /** Unix seconds, as the wire has them. */
    created: number;
    updated: number;
    /** When the key gets its next version; null when nothing will fall due. */
    due_at: number | null;
  };

  /** The keys that sign the audit's segments; the newest signs. */
  audit_keys: { kid: string; sealed: Uint8Array; public_pem: string; created_at: number };

  /** How far a chain was signed: a chain that ends before it has lost its end. */
  audit_chains: {
    chain: string;
    sequence: number;
    hash: string;
    segment: number;
    /** The last event that did anything but look at the other chains; null where an older program does not say. */
    deeds: number | null;
  };

  /** Records of changes, committed with the change, until the chain has them. */
  audit_changes: {
    request_id: string;
    chain: string;
    /** The chain's last event when the change was made: its record comes after it. */
    after_sequence: number;
    facts_json: string;
  };

  /** The copy that the sink `database` keeps; `time` is in milliseconds. */
  audit_records: {
    chain: string;
    sequence: number;
    hash: string;
    time: number;
    operation: string;
    status: number;
    hsm_id: string | null;
    caller: string | null;
    event_json: string;
  };

  /** How much of a chain each sink was given: up to this byte of this segment, where the last event has this number. */
  audit_sinks: { chain: string; sink: string; segment: number; position: number; sequence: number };
  /** Backups and restores, under way and ended. */
  backup_jobs: {
    /** 32 hexadecimal digits. */
    id: string;
    hsm_id: string;
    kind: 'backup' | 'prebackup' | 'restore' | 'prerestore' | 'restore-key';
    status: 'InProgress' | 'Succeeded' | 'Failed';
    /** Of a full restore: `emptying` and `filling` are beyond the point of no return, and are finished after a restart. */
    phase: 'working' | 'emptying' | 'filling' | 'ended';
    /** Where the backup is kept, without what grants access to it. */
    place_json: string;
    /** The SAS token, under the root key; gone when the job has ended. */
    sealed_token: Uint8Array | null;
    /** The backup's own folder at that place. */
    folder: string;
    /** The key of a selective restore. */
    key_name: string | null;
    /** 1 when the HSM's schedule began it. */
    scheduled: number;
    details: string | null;
    error_code: string | null;
    error_message: string | null;
    /** The run of the service that has the job, while it is under way. */
    holder: string | null;
    /** 1 when a schedule's retention has removed the backup. */
    removed: number;
    started_at: number;
    ended_at: number | null;
  };

  /** What a restore has brought in and checked, in order, until it takes the place of what is there: rows as JSON lines, keys sealed for their new place. */
  restore_staging: { job_id: string; sequence: number; rows: string };

  /** Backups that are made by themselves, one row for each HSM that has them. */
  backup_schedules: {
    hsm_id: string;
    place_json: string;
    sealed_token: Uint8Array | null;
    every_hours: number;
    /** How many of its backups stay. */
    keep: number;
    next_at: number;
    /** What went wrong the last time, if anything did. */
    trouble: string | null;
    updated_at: number;
  };

  /** What each commit touched, in the order of commits, where several nodes may share the store. */
  store_changes: { sequence: number; node: string; tags_json: string };

  /** The nodes that share the store; times are by the database's clock. */
  nodes: {
    name: string;
    /** Where it stands, if anybody said. */
    region: string | null;
    /** Of its program, and the schema that the program knows. */
    version: string;
    schema: number;
    /** Where it answers, once it does: a host and a port. */
    address: string | null;
    /** Goes up with each start of the node: its changes are refused under any other number than this. */
    session: number;
    /** `removed` is for good. */
    state: 'serving' | 'drained' | 'removed';
    started_at: number;
    heard_at: number;
    /** When the node ended, or was taken for dead. */
    ended_at: number | null;
  };

  /** What one node does for all: the run of the service that has it, and how many times it changed hands. */
  leases: { name: string; holder: string | null; fence: number };
}
