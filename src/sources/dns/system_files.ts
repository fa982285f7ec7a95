/** The files that say how names are looked up on this machine. They are read again when they have changed. */

import { readRegularFileWithin } from "../../regular_file.ts";
import { readResolvConf, RESOLVER_DEFAULTS, type ResolverConfig } from "./resolv_conf.ts";

/** Where the files are. */
export interface SystemPaths {
  readonly resolvConf: string;
  readonly hosts: string;
}

const PATHS: SystemPaths = { resolvConf: "/etc/resolv.conf", hosts: "/etc/hosts" };

/** Lists of blocked names are long. */
const MOST_BYTES = 8 * 1024 * 1024;

export class SystemFiles {
  readonly paths: SystemPaths;
  readonly #resolvConf: KeptFile<ResolverConfig>;
  readonly #hosts: KeptFile<string>;

  constructor(paths: SystemPaths = PATHS) {
    this.paths = paths;
    this.#resolvConf = new KeptFile(paths.resolvConf, RESOLVER_DEFAULTS, readResolvConf);
    this.#hosts = new KeptFile(paths.hosts, "", (text) => text);
  }

  /** How names are looked up now. */
  resolverConfig(stop: AbortSignal): Promise<ResolverConfig> {
    return this.#resolvConf.read(stop);
  }

  /** The text of the file of hosts. */
  hosts(stop: AbortSignal): Promise<string> {
    return this.#hosts.read(stop);
  }
}

/** One file, as it was when it could be read last. */
class KeptFile<Content> {
  readonly #path: string;
  readonly #read: (text: string) => Content;
  #content: Content;
  #marks = "";

  /** @param missing what counts until there is a file */
  constructor(path: string, missing: Content, read: (text: string) => Content) {
    this.#path = path;
    this.#content = missing;
    this.#read = read;
  }

  async read(stop: AbortSignal): Promise<Content> {
    try {
      const { dev, ino, size, mtime, ctime } = await Deno.stat(this.#path);
      const marks = [dev, ino, size, mtime?.getTime(), ctime?.getTime()].join();
      if (marks !== this.#marks) {
        this.#content = this.#read(await readRegularFileWithin(this.#path, MOST_BYTES, stop));
        this.#marks = marks;
      }
    } catch {
      // It is missing, perhaps for the moment of its replacement, or can't be read. What it said last still counts.
    }
    return this.#content;
  }
}
