/** The interface of what is measured: roundhouse in its forms, and its peers. */
import { findProgram, type Launch } from "./processes.ts";

/** What a subject gets to know when it is started. */
export interface Site {
  /** What its `program` found. */
  readonly program: string;
  /** A directory of its own for whatever it writes; it exists. */
  readonly directory: string;
  /** Where on 127.0.0.1 it has to listen. */
  readonly port: number;
  /** Where on 127.0.0.1 the administration can listen, where there is one. */
  readonly adminPort: number;
  /** The ports of the backends on 127.0.0.1. */
  readonly backends: readonly number[];
  /** A certificate and its key, both PEM in one file and each in its own; then it serves HTTPS. */
  readonly certificate: CertificateFiles | undefined;
  /** Whether it has to notice dead backends by itself, with checks each second where it has any. */
  readonly watchful: boolean;
  /** How many pools there are beside the usual one, each with a host of its own; roundhouse only. */
  readonly pools: number;
  /** The hash of the password of `user` that the path `/private` asks for; roundhouse only. */
  readonly hash: string | undefined;
  /**
   * Whether it logs each request to stderr, keeps sessions in the cookie `session`, and trusts what 127.0.0.0/8 says
   * about its clients; only for subjects with `sessions`.
   */
  readonly production: boolean;
  /** Whether `program` is roundhouse's built file. */
  readonly built: boolean;
  readonly signal: AbortSignal;
}

/** A tree of roundhouse's sources. */
export interface SourceTree {
  /** What tells it from the tree that stands here: a commit. */
  readonly label: string;
  /** Where `main.ts` is; ends with a slash. */
  readonly root: URL;
}

/** The paths of a certificate and its key. */
export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
  /** Both in one file. */
  readonly both: string;
}

/**
 * A proxy under comparison. All run on one thread where nothing else is said, take turns between the backends, keep
 * connections to them open, log no requests and set `X-Forwarded-For`, `-Proto` and `-Host`. `watchful` ones try a failed
 * request on another backend as far as they can; the others check no health.
 */
export interface Subject {
  /** What `--subjects` calls it. */
  readonly name: string;
  /** What the tables call it. */
  readonly title: string;
  /** Whether it is roundhouse, which the charts colour. */
  readonly own: boolean;
  /** The path of the program to run; `undefined` when it is not there. */
  program(): string | undefined;
  /** Whether it can keep sessions in a cookie. */
  readonly sessions?: true;
  /** What to do when it is not there. */
  readonly remedy: string;
  /** Arguments that make the program print its version. */
  readonly versionArgs: readonly string[];
  /** Prepares what the proxy needs and says how to run it in the foreground. */
  launch(site: Site): Promise<Launch>;
  /** The same from another tree of sources; roundhouse only. */
  at?(tree: SourceTree): Subject;
}

/** Beyond the 64 connections of the load, so that none to a backend is ever closed for want of room. */
export const idleConnections = 256;

/** What all peers have in common: an installed program. */
export function installed(
  name: string,
  debianPackage: string,
): Pick<Subject, "own" | "program" | "remedy"> {
  return {
    own: false,
    program: () => findProgram(name),
    remedy: `not installed: Debian has it as ${debianPackage}`,
  };
}

/** Writes a subject's configuration file and returns its path. */
export async function writeConfig(directory: string, name: string, text: string): Promise<string> {
  const path = `${directory}/${name}`;
  await Deno.writeTextFile(path, text);
  return path;
}
