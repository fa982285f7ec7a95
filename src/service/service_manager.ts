/** What systemd, or another service manager, is told: each step of the life of the program. */

import type { Log } from "../log.ts";
import { NotifySocket } from "./notify_socket.ts";
import { Watchdog } from "./watchdog.ts";

/** The longest status line. systemd shows one line. */
const MOST_STATUS = 200;

/** The service manager that started the program. Without one, nothing happens. */
export class ServiceManager {
  /** The variables that tell a successor of this process what it has to know. */
  readonly environment: Readonly<Record<string, string>>;
  readonly #socket: NotifySocket | undefined;
  readonly #watchdogMs: number | undefined;
  #watchdog: Watchdog | undefined;
  #status = "";

  /**
   * Takes what the service manager has said out of the environment, so that no other program takes it for its own.
   *
   * @param environment the variables, such as `Deno.env`
   */
  static take(environment: Pick<typeof Deno.env, "get" | "delete">, log: Log): ServiceManager {
    const take = (name: string) => {
      const value = environment.get(name);
      environment.delete(name);
      return value;
    };
    const [name, usec, pid] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"].map(take);
    const socket = name ? NotifySocket.open(name, log) : undefined;
    const isOurs = pid === undefined || pid === String(Deno.pid);
    const watchdogMs = isOurs && usec !== undefined && /^[1-9]\d*$/.test(usec) ? Number(usec) / 1000 : undefined;
    const variables = {
      ...socket && name ? { NOTIFY_SOCKET: name } : {},
      ...isOurs && usec !== undefined ? { WATCHDOG_USEC: usec } : {},
    };
    return new ServiceManager(socket, watchdogMs, variables);
  }

  private constructor(
    socket: NotifySocket | undefined,
    watchdogMs: number | undefined,
    environment: Readonly<Record<string, string>>,
  ) {
    this.environment = environment;
    this.#socket = socket;
    this.#watchdogMs = watchdogMs;
  }

  /**
   * Says that the program serves.
   *
   * @param status one line for people
   * @param works settles if the program works. Until it has settled, a watchdog is not told
   */
  ready(status: string, works: () => Promise<unknown>): void {
    this.#status = status;
    this.#tell(["READY=1", this.#statusLine("")]);
    if (this.#socket === undefined || this.#watchdogMs === undefined) return;
    this.#watchdog = new Watchdog({ limitMs: this.#watchdogMs, works, tell: () => this.#tell(["WATCHDOG=1"]) });
  }

  /** Says that a reload has begun, and when it has ended. */
  async reloading(reload: Promise<unknown>): Promise<void> {
    this.#tell(["RELOADING=1", ...monotonicTime(), this.#statusLine(", reloads its configuration")]);
    const outcome = await reload.then(() => "", () => ", could not reload its configuration: see the log");
    this.#tell(["READY=1", this.#statusLine(outcome)]);
  }

  stopping(): void {
    this.#tell(["STOPPING=1", "STATUS=stops: requests in flight get their answers"]);
  }

  /** Whether there is one. */
  get present(): boolean {
    return this.#socket !== undefined;
  }

  /** Says that another process is the service from now on. Nothing else must be said after this. */
  handedOver(pid: number): void {
    this.#watchdog?.close();
    this.#tell([`MAINPID=${pid}`, "READY=1", this.#statusLine("")]);
  }

  /** Nothing is sent after this. */
  async close(): Promise<void> {
    this.#watchdog?.close();
    await this.#socket?.close();
  }

  #statusLine(suffix: string): string {
    return `STATUS=${`${this.#status}${suffix}`.slice(0, MOST_STATUS)}`;
  }

  #tell(lines: readonly string[]): Promise<void> | undefined {
    return this.#socket?.send(lines);
  }
}

/**
 * The time of the system's monotonic clock, which `Type=notify-reload` wants. The runtime tells only for how many whole
 * seconds the system is up. This is rounded up, because systemd checks only that it is not before its signal.
 */
function monotonicTime(): string[] {
  try {
    return [`MONOTONIC_USEC=${(Deno.osUptime() + 1) * 1_000_000}`];
  } catch {
    return []; // not permitted (--allow-sys=osUptime). Only Type=notify-reload needs it
  }
}
