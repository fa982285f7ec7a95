/** The two backends behind every proxy, and the answers they give. */
import { nginxLaunch } from "./nginx.ts";
import { freePorts, ServerProcess } from "./processes.ts";

/** One kind of answer to measure with. */
export interface Workload {
  readonly name: string;
  readonly bytes: number;
}

/** Every kind of answer; the backends serve each at `/` and its name. */
export const workloads: readonly Workload[] = [
  { name: "small", bytes: 60 },
  { name: "64KiB", bytes: 64 * 1024 },
  { name: "1MiB", bytes: 1024 * 1024 },
];

/** Starts two nginx of one worker each on 127.0.0.1, to be stopped by `stack`. Resolves with their ports. */
export async function startBackends(
  program: string,
  directory: string,
  stack: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<number[]> {
  const files = `${directory}/files`;
  await Deno.mkdir(files, { recursive: true });
  for (const { name, bytes } of workloads) await Deno.writeTextFile(`${files}/${name}`, "x".repeat(bytes));

  const ports = freePorts(2);
  for (const [index, port] of ports.entries()) {
    const http = `
  open_file_cache max=16;
  default_type text/plain;
  server {
    listen 127.0.0.1:${port} backlog=1024;
    root ${files};
    location = /small { return 200 "${"x".repeat(60)}"; }
  }`;
    const launch = await nginxLaunch(program, `${directory}/backend-${index + 1}`, http);
    stack.use(await ServerProcess.start(launch, port, signal));
  }
  return ports;
}
