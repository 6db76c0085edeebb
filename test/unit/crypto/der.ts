// A few DER elements (X.690), for tests that need keys which no library would write.

export function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  const length = content.length.toString(16);
  const bytes = Buffer.from(length.padStart(length.length + (length.length % 2), '0'), 'hex');
  return Buffer.concat([content.length < 0x80 ? Buffer.of(tag, content.length) : Buffer.of(tag, 0x80 | bytes.length, ...bytes), content]);
}

export function sequence(...parts: readonly Uint8Array[]): Buffer {
  return der(0x30, ...parts);
}

export function octets(content: Uint8Array): Buffer {
  return der(0x04, content);
}

/** Of zero or more. */
export function integer(value: bigint): Buffer {
  const hex = value.toString(16);
  const bytes = Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex');
  return der(0x02, (bytes[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.of(0), bytes]) : bytes);
}

export const OBJECT_IDS = {
  rsaEncryption: Buffer.from('06092a864886f70d010101', 'hex'),
  ecPublicKey: Buffer.from('06072a8648ce3d0201', 'hex'),
  'P-256': Buffer.from('06082a8648ce3d030107', 'hex'),
} as const;
