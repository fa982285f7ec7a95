/** A listener whose socket other isolates and processes can share, by a descriptor of it. */

import { type ListeningHandle, type SocketHandle, TcpHandles } from "./tcp_handle.ts";
import { nextTurn } from "./next_turn.ts";

/** How many clients are taken ahead in one turn of the event loop. */
const MOST_AHEAD = 64;

/** How often to look whether descriptors have run out. */
const LOOK_MS = 100;

export interface SharedAddress {
  readonly hostname: string;
  /** 0 for any free port. */
  readonly port: number;
  readonly reusePort?: boolean;
}

interface Waiting {
  readonly resolve: (connection: Deno.TcpConn) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Behaves like `Deno.Listener`. Below it, the runtime stops looking for connections when accepting one has failed, and
 * does not say so. So it is made to look again every 100 ms. If no descriptor is left, `accept` rejects with EMFILE.
 */
export class SharedPort {
  readonly addr: Deno.NetAddr;
  readonly #handles: TcpHandles;
  #handle: ListeningHandle;
  /** While it is paused, a descriptor of the socket. */
  #paused: number | undefined;
  readonly #timer: ReturnType<typeof setInterval>;
  #waiting: Waiting | undefined;
  /** Whether a connection was ready while nobody waited. */
  #isReady = false;
  #isExhausted = false;
  #looksFirst = false;
  #closed = false;
  /** Whether clients are taken although nobody waits. */
  #takesAhead = false;
  /** Clients for the next calls of `accept`. */
  readonly #ahead: Deno.TcpConn[] = [];

  /**
   * Listens at an address. `undefined`: this runtime can't share a listener, or the address can't be bound.
   */
  static async bind(at: SharedAddress): Promise<SharedPort | undefined> {
    const handles = await TcpHandles.load();
    const handle = handles?.bind(at);
    return handles && handle && new SharedPort(handles, handle);
  }

  /**
   * Listens at a socket, or if there is none at an address.
   *
   * @throws when the socket can't be used
   */
  static open(at: SharedAddress, socket: number | undefined): Promise<SharedPort | undefined> {
    return socket === undefined ? SharedPort.bind(at) : SharedPort.inherit(socket);
  }

  /**
   * Listens at the socket of another process or isolate.
   *
   * @param descriptor owned from then on
   * @throws when it is not a TCP socket that listens
   */
  static async inherit(descriptor: number): Promise<SharedPort> {
    const handles = await TcpHandles.load();
    const handle = handles?.open(descriptor);
    if (handles === undefined || handle === undefined) throw notASocket(descriptor);
    return new SharedPort(handles, handle);
  }

  private constructor(handles: TcpHandles, handle: ListeningHandle) {
    this.#handles = handles;
    this.#handle = handle;
    this.addr = handle.address;
    handle.ready = () => this.#ready();
    this.#timer = setInterval(() => this.#check(), LOOK_MS);
  }

  /**
   * The next client. Call it again only when it has settled.
   *
   * Rejects for a client that has left, when no descriptor is left, and when the listener is closed.
   */
  accept(): Promise<Deno.TcpConn> {
    const ahead = this.#ahead.shift();
    if (ahead !== undefined) return Promise.resolve(ahead);
    if (this.#closed) return Promise.reject(new Deno.errors.BadResource("the listener is closed"));
    if ((this.#isExhausted || this.#looksFirst) && this.#hasRunOut()) return Promise.reject(exhausted());
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      if (this.#isReady) this.#give();
      // A look after a connection that was not taken at once finds one more, and is the last.
      else if (this.#paused === undefined) this.#handle.look();
    });
  }

  /**
   * Gives the event loop a turn. Clients that come meanwhile are taken for the next calls of `accept`. Otherwise the
   * runtime would stop looking at the first one, and look again only a turn later. On a busy loop, where a turn takes
   * 20 ms, clients that come in a burst would wait three times as long.
   */
  async turn(): Promise<void> {
    this.#takesAhead = true;
    if (this.#isReady && this.#hasRoom) this.#takeAhead();
    if (!this.#closed && this.#paused === undefined) this.#handle.look();
    await nextTurn();
    this.#takesAhead = false;
  }

  /**
   * Returns another descriptor of the socket, for another process. The caller owns it. `undefined`: it is closed, was
   * offered already, or the process has too few descriptors left; nothing has changed then.
   *
   * Until `resume` is called, clients wait in the kernel's accept queue. The runtime makes what it gives to a process that
   * it starts blocking, in all processes. Accepting would block this one then.
   */
  offer(): number | undefined {
    if (this.#closed || this.#paused !== undefined) return undefined;
    const kept = this.#handle.descriptor();
    const offered = kept === undefined ? undefined : this.#handle.descriptor();
    if (kept === undefined || offered === undefined) {
      if (kept !== undefined) this.#handles.closeDescriptor(kept);
      return undefined;
    }
    this.#takeLast();
    this.#handle.close();
    this.#paused = kept;
    return offered;
  }

  /**
   * Looks before each client whether descriptors are left, which takes 25 µs, and not only every 100 ms. For ports with few
   * clients, which must not take the descriptors that requests need.
   */
  lookFirst(): void {
    this.#looksFirst = true;
  }

  /** Accepts clients again. */
  resume(): void {
    const descriptor = this.#paused;
    this.#paused = undefined;
    if (descriptor === undefined || this.#closed) return;
    const handle = this.#handles.open(descriptor);
    if (handle === undefined) return; // it can't fail: the descriptor is one of a socket that listened
    this.#handle = handle;
    handle.ready = () => this.#ready();
  }

  /** Closes it. `accept` still gives the clients that this process has taken from the system already. */
  retire(): void {
    if (this.#closed) return;
    this.#takeLast();
    this.#end();
  }

  close(): void {
    this.#end();
    for (const client of this.#ahead.splice(0)) client.close();
  }

  #end(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#timer);
    this.#handle.close();
    if (this.#paused !== undefined) this.#handles.closeDescriptor(this.#paused);
    this.#settle()?.reject(new Deno.errors.BadResource("the listener is closed"));
  }

  #ready(): void {
    if (this.#waiting !== undefined) this.#give();
    else if (this.#takesAhead && this.#hasRoom) this.#takeAhead();
    else this.#isReady = true;
  }

  get #hasRoom(): boolean {
    return this.#ahead.length < MOST_AHEAD;
  }

  #takeAhead(): void {
    this.#isReady = false;
    const client = this.#take();
    if (client !== undefined) this.#ahead.push(client);
  }

  /** Gives a connection that is ready to whoever waits. */
  #give(): void {
    this.#isReady = false;
    try {
      const connection = this.#handle.take();
      if (connection === undefined) this.#handle.look();
      else this.#settle()?.resolve(connection);
    } catch (error) {
      this.#settle()?.reject(error);
    }
  }

  /** Takes the clients that the system has given to this process. */
  #takeLast(): void {
    this.#isReady = false;
    for (let client = this.#take(); client !== undefined; client = this.#take()) this.#ahead.push(client);
    // Whoever waits gets the first one: the runtime may have taken several at once.
    const first = this.#waiting === undefined ? undefined : this.#ahead.shift();
    if (first !== undefined) this.#settle()?.resolve(first);
  }

  #take(): Deno.TcpConn | undefined {
    try {
      return this.#handle.take();
    } catch {
      return this.#take(); // that client has left
    }
  }

  #check(): void {
    if (this.#paused !== undefined) return;
    if (this.#hasRunOut()) this.#settle()?.reject(exhausted());
    else if (this.#waiting !== undefined) this.#handle.look();
  }

  #hasRunOut(): boolean {
    this.#isExhausted = this.#paused === undefined && !this.#handle.hasDescriptors();
    return this.#isExhausted;
  }

  #settle(): Waiting | undefined {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    return waiting;
  }
}

/** A socket of another process that nobody accepts clients at here. */
export class HeldSocket {
  readonly #handle: SocketHandle | undefined;

  /** @param descriptor owned from then on */
  static async hold(descriptor: number): Promise<HeldSocket> {
    const handles = await TcpHandles.load();
    if (handles === undefined) throw notASocket(descriptor);
    return new HeldSocket(handles.hold(descriptor));
  }

  private constructor(handle: SocketHandle | undefined) {
    this.#handle = handle;
  }

  /**
   * Another descriptor of it, which the caller owns. `undefined`: it is not a TCP socket, or no descriptor is left.
   */
  descriptor(): number | undefined {
    return this.#handle?.descriptor();
  }

  close(): void {
    this.#handle?.close();
  }
}

/** Closes descriptors of sockets, for whoever owns them. */
export async function closeDescriptors(descriptors: readonly number[]): Promise<void> {
  const handles = await TcpHandles.load();
  for (const descriptor of descriptors) handles?.closeDescriptor(descriptor);
}

function notASocket(descriptor: number): Error {
  return new Error(`file descriptor ${descriptor} is not a listening TCP socket`);
}

function exhausted(): Error {
  return Object.assign(new Error("Too many open files (os error 24)"), { code: "EMFILE" });
}
