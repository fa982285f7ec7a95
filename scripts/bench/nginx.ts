/** What the two uses of nginx (the backends and one of the peers) have in common. */
import type { Launch } from "./processes.ts";

/** One nginx. */
export interface NginxOptions {
  /** What stands inside `http { }`. */
  readonly http: string;
  /** Whether a single process does all, instead of a master and a worker, so that one signal ends it. */
  readonly single?: boolean;
}

/** Writes a configuration into `directory` and says how to run it: one worker, no logs, nothing outside `directory`. */
export async function nginxLaunch(program: string, directory: string, options: NginxOptions): Promise<Launch> {
  await Deno.mkdir(directory, { recursive: true });
  // Started as root, the worker would else be another user, who can't read our temporary directory.
  const user = Deno.uid() === 0 ? "user root;" : "";
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  const config = `
${user}
worker_processes 1;
${options.single === true ? "master_process off;" : ""}
daemon off;
pid ${directory}/nginx.pid;
error_log stderr crit;
events { worker_connections 8192; }
http {
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 300s;
  sendfile on;
  tcp_nopush on;
  client_body_buffer_size 256k;
  ${temporary.map((kind) => `${kind}_temp_path ${directory}/${kind};`).join("\n  ")}
  ${options.http}
}
`;
  await Deno.writeTextFile(`${directory}/nginx.conf`, config);
  return { command: program, args: ["-p", directory, "-e", "stderr", "-c", `${directory}/nginx.conf`] };
}
