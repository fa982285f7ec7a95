/** What the two uses of nginx (the backends and one of the peers) have in common. */
import type { Launch } from "./processes.ts";

/** Writes a configuration into `directory` and says how to run it: one worker, no logs, nothing outside `directory`. */
export async function nginxLaunch(program: string, directory: string, http: string): Promise<Launch> {
  await Deno.mkdir(directory, { recursive: true });
  // Started as root, the worker would else be another user, who can't read our temporary directory.
  const user = Deno.uid() === 0 ? "user root;" : "";
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  const config = `
${user}
worker_processes 1;
daemon off;
pid ${directory}/nginx.pid;
error_log stderr crit;
events { worker_connections 4096; }
http {
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 300s;
  sendfile on;
  tcp_nopush on;
  ${temporary.map((kind) => `${kind}_temp_path ${directory}/${kind};`).join("\n  ")}
  ${http}
}
`;
  await Deno.writeTextFile(`${directory}/nginx.conf`, config);
  return { command: program, args: ["-p", directory, "-e", "stderr", "-c", `${directory}/nginx.conf`] };
}
