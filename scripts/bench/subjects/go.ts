/** Go's own reverse proxy: `httputil.ReverseProxy` in a program of a few lines. */
import { run } from "../processes.ts";
import { installed, type Subject } from "../subject.ts";

/** It has no health checks and no retries. */
export const go: Subject = {
  name: "go",
  title: "Go ReverseProxy",
  ...installed("go", "golang-go"),
  versionArgs: ["version"],
  async launch({ program, directory, port, backends, certificate, signal }) {
    const binary = `${directory}/go_proxy`;
    const source = new URL(".", import.meta.url);
    await run({ command: program, args: ["build", "-o", binary, "go_proxy.go"], cwd: source }, signal);
    const files = certificate === undefined ? ["-", "-"] : [certificate.cert, certificate.key];
    const addresses = [port, ...backends].map((number) => `127.0.0.1:${number}`);
    return { command: binary, args: [...files, ...addresses], env: { GOMAXPROCS: "1" } };
  },
};
