// Who may do what, as an administrator types it: roles of an HSM and of the resource manager, settings, network rules and the question why, in one script
// each, run by the program's own shell against a service of its own.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, type TestContext, test } from 'node:test';
import { openssl } from '../tools.ts';
import { type Ended, type Service, startService } from './service.ts';

const HSM = 'access-cmdlets';

suite('the cmdlets of access', () => {
  let service: Service | undefined;
  let missing: string | undefined;
  before(async () => {
    const tool = await openssl();
    if ('missing' in tool) missing = tool.missing;
    else service = await startService();
  });
  after(() => service?.stop());

  function story(title: string, tell: (on: Service) => Promise<void>): void {
    test(title, (t: TestContext) => (service === undefined ? t.skip(missing ?? 'the service did not start') : tell(service)));
  }

  async function ran(on: Service, ...lines: readonly string[]): Promise<string> {
    const ended = await attempt(on, ...lines);
    assert.equal(ended.status, 0, `${ended.stderr}\n${ended.stdout}`);
    return ended.stdout;
  }

  async function attempt(on: Service, ...lines: readonly string[]): Promise<Ended> {
    writeFileSync(join(on.folder, 'story.ps1'), `${lines.join('\n')}\n`);
    return on.command('run', 'story.ps1');
  }

  story('an HSM is made with network rules, activated, and its rules changed', async (on) => {
    const keys = [0, 1, 2].map(
      (i) => `openssl req -newkey rsa:2048 -nodes -keyout c${i}.key -x509 -days 365 -out c${i}.cer -subj "/CN=custodian ${i}"`,
    );
    const seen = await ran(
      on,
      'New-AzResourceGroup -Name access -Location norwayeast | Out-Null',
      `$me = Get-AzADUser -UserPrincipalName "${on.connection.user.userPrincipalName}"`,
      '$rules = New-AzKeyVaultManagedHsmNetworkRuleSetObject -IpAddressRange "127.0.0.0/8", "::1"',
      `$hsm = New-AzKeyVaultManagedHsm -Name ${HSM} -ResourceGroupName access -Location norwayeast -Administrator $me.Id -SoftDeleteRetentionInDays 7 -NetworkRuleSet $rules`,
      '"made with $($hsm.NetworkRuleSet.DefaultAction) and $($hsm.NetworkRuleSet.IpAddressRanges[0])"',
      ...keys,
      `Export-AzKeyVaultSecurityDomain -Name ${HSM} -Certificates c0.cer, c1.cer, c2.cer -OutputPath sd.json -Quorum 2`,
      `Add-AzKeyVaultManagedHsmNetworkRule -Name ${HSM} -IpAddressRange 10.0.0.0/8`,
      `Remove-AzKeyVaultManagedHsmNetworkRule -Name ${HSM} -IpAddressRange "::1"`,
      `"now $((Get-AzKeyVaultManagedHsm -Name ${HSM}).NetworkRuleSet.IpAddressRanges)"`,
      `$open = Update-AzKeyVaultManagedHsmNetworkRuleSet -Name ${HSM} -DefaultAction Allow -IpAddressRange @() -Bypass None -PassThru`,
      '"left $($open.NetworkRuleSet.DefaultAction), $($open.NetworkRuleSet.Bypass), $($open.NetworkRuleSet.IpAddressRanges.Count)"',
      `Get-AzKeyVaultManagedHsmRegion -HsmName ${HSM} -ResourceGroupName access`,
    );
    assert.match(seen, /made with Deny and 127\.0\.0\.0\/8/);
    assert.match(seen, /now 127\.0\.0\.0\/8 10\.0\.0\.0\/8/);
    assert.match(seen, /left Allow, None, 0/);
    assert.match(seen, /True\s+norwayeast\s+Succeeded/);
  });

  story('what makes no sense is refused with what to do instead', async (on) => {
    const allowed = await attempt(on, `Add-AzKeyVaultManagedHsmNetworkRule -Name ${HSM} -IpAddressRange 10.0.0.0/8`);
    assert.notEqual(allowed.status, 0);
    assert.match(
      allowed.stderr,
      /Cannot add IP network rules while DefaultAction is Allow\. Run Update-AzKeyVaultManagedHsmNetworkRuleSet -Name access-cmdlets -DefaultAction Deny first/,
    );
    const region = await attempt(on, `Add-AzKeyVaultManagedHsmRegion -HsmName ${HSM} -ResourceGroupName access -Region uksouth`);
    assert.match(region.stderr, /Invalid region name: uksouth passed.*No node is there: start one with --region uksouth/s);
    const primary = await attempt(on, `Remove-AzKeyVaultManagedHsmRegion -HsmName ${HSM} -ResourceGroupName access -Region "Norway East"`);
    assert.match(primary.stderr, /primary region/);
    const shut = await attempt(
      on,
      `Update-AzKeyVaultManagedHsmNetworkRuleSet -Name ${HSM} -DefaultAction Deny -IpAddressRange 203.0.113.7`,
      `Get-AzKeyVaultSetting -HsmName ${HSM}`,
    );
    assert.match(shut.stderr, /Client address \(\S+\) is not authorized/);
    assert.match(shut.stderr, /Add-AzKeyVaultManagedHsmNetworkRule -Name access-cmdlets -IpAddressRange/);
    await ran(on, `Update-AzKeyVaultManagedHsmNetworkRuleSet -Name ${HSM} -DefaultAction Allow -IpAddressRange @()`);
  });

  story('who is refused asks why, is told the command, and it works', async (on) => {
    const refused = await attempt(on, `Add-AzKeyVaultKey -HsmName ${HSM} -Name signing -KeyType EC -CurveName P-256`);
    assert.match(refused.stderr, /Get-StrongroomAccess -HsmName access-cmdlets -Action keys\/create -Scope \/keys\/signing/);
    const why = await ran(on, `Get-StrongroomAccess -HsmName ${HSM} -Action Create -KeyName signing`);
    assert.match(why, /Allowed\s*: False/);
    assert.match(why, /Holds\s*: Managed HSM Administrator at \/ through Owner/);
    assert.match(why, /Needed\s*: \{?Managed HSM Crypto User/);
    const told = await ran(on, `(Get-StrongroomAccess -HsmName ${HSM} -Action keys/create -Scope /keys).GrantWith`);
    const after = await ran(
      on,
      told.trim(),
      `(Get-StrongroomAccess -HsmName ${HSM} -Action Create).Allowed`,
      `Add-AzKeyVaultKey -HsmName ${HSM} -Name signing -KeyType EC -CurveName P-256 | Out-Null`,
      '"made"',
    );
    assert.match(after, /True\s+made/);
    const other = await ran(
      on,
      `(Get-StrongroomAccess -HsmName ${HSM} -ApplicationId ${on.connection.servicePrincipal.clientId}).May.Count`,
    );
    assert.equal(other.trim(), '0');
  });

  story('a role is made from another, given at one key, and deleted when nobody has it', async (on) => {
    const id = on.connection.servicePrincipal.objectId;
    const seen = await ran(
      on,
      `$role = Get-AzKeyVaultRoleDefinition -HsmName ${HSM} -RoleDefinitionName "Managed HSM Crypto User"`,
      '$role.Name = $null',
      '$role.Id = $null',
      '$role.RoleName = "Signer"',
      '$role.Permissions[0].DataActions = @("Microsoft.KeyVault/managedHsm/keys/sign/action", "Microsoft.KeyVault/managedHsm/keys/read/action")',
      `$made = New-AzKeyVaultRoleDefinition -HsmName ${HSM} -Role $role`,
      '"made $($made.RoleName), $($made.Type), $($made.Permissions[0].DataActions.Count)"',
      `New-AzKeyVaultRoleAssignment -HsmName ${HSM} -RoleDefinitionName Signer -ObjectId ${id} -Scope /keys/signing | Out-Null`,
      `"may $((Get-StrongroomAccess -HsmName ${HSM} -ObjectId ${id} -KeyName signing).May)"`,
      `"elsewhere $((Get-StrongroomAccess -HsmName ${HSM} -ObjectId ${id} -KeyName other).May.Count)"`,
    );
    assert.match(seen, /made Signer, CustomRole, 2/);
    assert.match(seen, /may keys\/read\/action keys\/sign\/action/);
    assert.match(seen, /elsewhere 0/);
    const used = await attempt(on, `Remove-AzKeyVaultRoleDefinition -HsmName ${HSM} -RoleName Signer -Force`);
    assert.match(used.stderr, /assigned to somebody/);
    writeFileSync(
      join(on.folder, 'role.json'),
      JSON.stringify({ roleName: 'From a file', dataActions: ['Microsoft.KeyVault/managedHsm/rng/action'] }),
    );
    const gone = await ran(
      on,
      `Remove-AzKeyVaultRoleAssignment -HsmName ${HSM} -RoleDefinitionName Signer -ObjectId ${id} -Scope /keys/signing`,
      `Remove-AzKeyVaultRoleDefinition -HsmName ${HSM} -RoleName Signer -Force -PassThru`,
      `New-AzKeyVaultRoleDefinition -HsmName ${HSM} -InputFile role.json | Out-Null`,
      `(Get-AzKeyVaultRoleDefinition -HsmName ${HSM} -Custom).RoleName`,
    );
    assert.match(gone, /True\s+From a file/);
  });

  story('settings are shown and changed, by name and down the pipeline', async (on) => {
    const seen = await ran(
      on,
      `Get-AzKeyVaultSetting -HsmName ${HSM}`,
      `(Update-AzKeyVaultSetting -HsmName ${HSM} -Name AllowKeyManagementOperationsThroughARM -Value true -PassThru).Value`,
      `Get-AzKeyVaultSetting -HsmName ${HSM} -Name AllowKeyManagementOperationsThroughARM | Update-AzKeyVaultSetting -Value false`,
      `(Get-AzKeyVaultManagedHsm -Name ${HSM} | Get-AzKeyVaultSetting).Value`,
    );
    assert.match(seen, /AllowKeyManagementOperationsThroughARM\s+false\s+boolean\s+access-cmdlets/);
    assert.match(seen, /true\s+false\s*$/);
  });

  story('roles of the resource manager are given, shown and taken away', async (on) => {
    const { clientId, objectId } = on.connection.servicePrincipal;
    const seen = await ran(
      on,
      '(Get-AzRoleDefinition).Name',
      'Get-AzRoleDefinition "Managed HSM*"',
      `Remove-AzRoleAssignment -ObjectId ${objectId} -RoleDefinitionName Owner`,
      `$made = New-AzRoleAssignment -ApplicationId ${clientId} -RoleDefinitionName "Managed HSM contributor" -ResourceGroupName access -Description "for the pipeline"`,
      '"made $($made.RoleDefinitionName) for $($made.DisplayName) at $($made.Scope)"',
      `(Get-AzRoleAssignment -ObjectId ${objectId}).RoleDefinitionName`,
      `New-AzRoleAssignment -ObjectId ${objectId} -RoleDefinitionName Reader -ResourceGroupName access -ResourceName ${HSM} | Out-Null`,
      `"count $(@(Get-AzRoleAssignment -ResourceGroupName access -ResourceName ${HSM} -ObjectId ${objectId}).Count)"`,
      `Get-AzRoleAssignment -ObjectId ${objectId} | Remove-AzRoleAssignment`,
      `"left $(@(Get-AzRoleAssignment -ObjectId ${objectId}).Count)"`,
    );
    assert.match(seen, /Owner\s+Contributor\s+Reader\s+Managed HSM contributor/);
    assert.match(seen, /Actions\s*: \{?Microsoft\.KeyVault\/managedHSMs\/\*/);
    assert.match(
      seen,
      new RegExp(
        `made Managed HSM contributor for strongroom-automation at /subscriptions/${on.connection.subscriptionId}/resourceGroups/access`,
      ),
    );
    assert.match(seen, /count 2/);
    assert.match(seen, /left 0/);
    const last = await attempt(
      on,
      `Remove-AzRoleAssignment -SignInName "${on.connection.user.userPrincipalName}" -RoleDefinitionName Owner`,
    );
    assert.match(last.stderr, /last RBAC admin assignment/);
    const nobody = await attempt(on, 'New-AzRoleAssignment -ObjectId 00000000-0000-4000-8000-000000000000 -RoleDefinitionName Kings');
    assert.match(nobody.stderr, /there is no role 'Kings'[\s\S]*Owner, Contributor, Reader, Managed HSM contributor/);
  });
});
