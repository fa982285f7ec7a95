/** Peers that send or take as fast as they can, each in a thread of its own, so that the proxy is the slowest. */

/** What such a peer does. */
export interface FloodOrder {
  /** Where it connects; `null`: it listens, and begins with each connection once something has come over it. */
  readonly port: number | null;
  /** The authority of the proxy's certificate, to connect over TLS; default: without TLS. */
  readonly ca?: string;
  /** What it sends first. */
  readonly first: string;
  /** What it sends over and over then; nothing: it only takes what comes. */
  readonly repeat: string;
}

export class Flood implements Disposable {
  readonly #worker: Worker;
  /** Where it listens, or connected to. */
  readonly port: number;

  static async start(order: FloodOrder): Promise<Flood> {
    const worker = new Worker(new URL("./flood_worker.ts", import.meta.url), { type: "module" });
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    worker.onmessage = ({ data }: MessageEvent<number>) => resolve(data);
    worker.onerror = (event) => reject(new Error(event.message));
    worker.postMessage(order);
    return new Flood(worker, await promise);
  }

  private constructor(worker: Worker, port: number) {
    this.#worker = worker;
    this.port = port;
  }

  [Symbol.dispose](): void {
    this.#worker.terminate();
  }
}
