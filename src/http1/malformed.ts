/** What is wrong with a message, in words for whoever sent it. Imports nothing of ours. */

/** A message that is not HTTP/1.1 as RFC 9112 has it, or larger than allowed. */
export class MalformedMessage extends Error {
  override readonly name = "MalformedMessage";
  /** Whether its head is over the limit, in bytes or in fields. */
  readonly tooLarge: boolean;

  constructor(message: string, { tooLarge = false }: { readonly tooLarge?: boolean } = {}) {
    super(message);
    this.tooLarge = tooLarge;
  }
}
