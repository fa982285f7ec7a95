/** HAProxy. */
import { installed, type Site, type Subject, writeConfig } from "../subject.ts";

/** HAProxy with one thread. */
export const haproxy: Subject = {
  name: "haproxy",
  title: "HAProxy",
  ...installed("haproxy", "haproxy"),
  versionArgs: ["-v"],
  async launch(site) {
    const file = await writeConfig(site.directory, "haproxy.cfg", configuration(site));
    return { command: site.program, args: ["-db", "-f", file] };
  },
};

function configuration({ port, backends, certificate, watchful }: Site): string {
  const secure = certificate === undefined ? "" : ` ssl crt ${certificate.both} alpn http/1.1`;
  const check = watchful ? " check inter 1s" : "";
  return `
global
  nbthread 1
  maxconn 8192
defaults
  mode http
  timeout connect 2s
  timeout client 60s
  timeout server 60s
  timeout tunnel 60s
  http-reuse always
  option forwardfor
  ${watchful ? "option redispatch 1\n  retries 3\n  retry-on conn-failure empty-response response-timeout" : ""}
frontend proxy
  bind 127.0.0.1:${port} backlog 4096${secure}
  http-request set-header X-Forwarded-Proto ${certificate === undefined ? "http" : "https"}
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  default_backend pool
backend pool
  balance roundrobin
  ${backends.map((backend, index) => `server b${index} 127.0.0.1:${backend}${check}`).join("\n  ")}
`;
}
