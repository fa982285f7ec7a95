/** Peers that send or read as fast as they can. Each runs in its own thread, so that the proxy is the slowest part. */

/** What such a peer does. */
export interface FloodOrder {
  /** Where it connects; `null`: it listens, and starts on a connection after it has received something. */
  readonly port: number | null;
  /** The authority of the proxy's certificate, to connect over TLS; default: without TLS. */
  readonly ca?: string;
  /** What it sends first. */
  readonly first: string;
  /** What it then sends again and again; nothing: it only reads. */
  readonly repeat: string;
}

export class Flood implements Disposable {
  readonly #worker: Worker;
  /** The address on which it listens, or to which it is connected. */
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
