// base64url both ways, strict, as every Key Vault value is written: no padding, no other alphabet, no stray bits. Files that other programs write may use
// the other alphabet.

const BASE64URL = /^[A-Za-z0-9_-]*$/;

export function toBase64url(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64url');
}

/**
 * Decodes unpadded base64url.
 * @returns the bytes, or undefined when the text is not canonical base64url (RFC 4648 section 5, without padding).
 */
export function fromBase64url(text: string): Buffer | undefined {
  if (!BASE64URL.test(text) || text.length % 4 === 1) return undefined;
  const bytes = Buffer.from(text, 'base64url');
  return bytes.toString('base64url') === text ? bytes : undefined;
}

/**
 * Decodes base64 in either alphabet (RFC 4648 sections 4 and 5), with or without its padding.
 * @returns the bytes, or undefined when the text is neither.
 */
export function fromAnyBase64(text: string): Buffer | undefined {
  const padded = text.endsWith('=');
  if (padded && text.length % 4 !== 0) return undefined;
  return fromBase64url(
    text
      .replace(/={1,2}$/, '')
      .replaceAll('+', '-')
      .replaceAll('/', '_'),
  );
}

/** Lower-case hexadecimal, as version ids and job ids are written. */
export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}
