/** The credentials of the scheme Basic (RFC 7617). */

/** The longest user and password together, in bytes of UTF-8. */
export const MOST_CREDENTIAL_BYTES = 2048;

export interface BasicCredentials {
  readonly user: string;
  readonly password: string;
  /** Both, with a colon between. */
  readonly text: string;
}

const PREFIX = /^basic +([A-Za-z0-9+/]+={0,2})$/i;

/**
 * Reads the value of `Authorization`; `undefined`: it holds no well-formed credentials of this scheme. The first colon
 * ends the user. Only one spelling of each user and password is accepted: padded base64 of valid UTF-8, without control
 * characters.
 */
export function parseBasicCredentials(value: string): BasicCredentials | undefined {
  const [, encoded] = PREFIX.exec(value) ?? [];
  if (encoded === undefined || encoded.length > Math.ceil(MOST_CREDENTIAL_BYTES / 3) * 4) return undefined;
  const text = decode(encoded);
  const colon = text?.indexOf(":") ?? -1;
  // deno-lint-ignore no-control-regex -- these are what is refused
  if (text === undefined || colon === -1 || /[\0-\x1f\x7f]/.test(text)) return undefined;
  return { user: text.slice(0, colon), password: text.slice(colon + 1), text };
}

function decode(encoded: string): string | undefined {
  try {
    const bytes = Uint8Array.fromBase64(encoded, { lastChunkHandling: "strict" });
    if (bytes.length > MOST_CREDENTIAL_BYTES) return undefined;
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof TypeError)) throw error;
    return undefined;
  }
}
