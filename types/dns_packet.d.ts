// Types of what is used of `dns-packet`, which carries none.

declare module "dns-packet" {
  import type { Buffer } from "node:buffer";

  /** How one part of a message is written and read. `bytes`: how long the last one was. */
  interface Part<T> {
    readonly decode: { (buffer: Buffer, offset: number): T; readonly bytes: number };
  }

  interface Record {
    readonly name: string;
    readonly type: string;
    readonly ttl: number;
    readonly data: unknown;
  }

  interface Question {
    readonly name: string;
    readonly type: string;
    readonly class: string;
  }

  interface Message {
    readonly type: "query" | "response";
    readonly id: number;
    readonly flags: number;
    readonly questions: readonly { readonly name: string; readonly type: string }[];
    readonly answers?: readonly unknown[];
    readonly authorities?: readonly unknown[];
    readonly additionals?: readonly unknown[];
  }

  const packet: {
    readonly RECURSION_DESIRED: number;
    readonly answer: Part<Record>;
    readonly question: Part<Question>;
    encode(message: Message): Buffer;
  };
  export default packet;
}
