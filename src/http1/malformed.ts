/** The error for a malformed message. Its text is written for the sender. This file imports nothing. */

/** A message that breaks the rules of RFC 9112, or is larger than allowed. */
export class MalformedMessage extends Error {
  override readonly name = "MalformedMessage";
  /** Whether its head has more bytes or more fields than allowed. */
  readonly tooLarge: boolean;

  constructor(message: string, { tooLarge = false }: { readonly tooLarge?: boolean } = {}) {
    super(message);
    this.tooLarge = tooLarge;
  }
}
