/** HAProxy. */
import { installed, type Site, type Subject, writeConfig } from "../subject.ts";

/** HAProxy with one thread. */
export const haproxy: Subject = {
  name: "haproxy",
  title: "HAProxy",
  sessions: true,
  ...installed("haproxy", "haproxy"),
  versionArgs: ["-v"],
  async launch(site) {
    const file = await writeConfig(site.directory, "haproxy.cfg", configuration(site));
    return { command: site.program, args: ["-db", "-f", file] };
  },
};

function configuration({ port, backends, certificate, watchful, production }: Site): string {
  const secure = certificate === undefined ? "" : ` ssl crt ${certificate.both} alpn http/1.1`;
  const check = watchful ? " check inter 1s" : "";
  const unlessTrusted = production ? " unless { src 127.0.0.0/8 }" : "";
  const cookie = (index: number) => production ? ` cookie b${index}` : "";
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
  ${production ? "log stderr format raw local0\n  option httplog" : ""}
  ${watchful ? "option redispatch 1\n  retries 3\n  retry-on conn-failure empty-response response-timeout" : ""}
frontend proxy
  bind 127.0.0.1:${port} backlog 4096${secure}
  http-request set-header X-Forwarded-Proto ${certificate === undefined ? "http" : "https"}${unlessTrusted}
  http-request set-header X-Forwarded-Host %[req.hdr(host)]${unlessTrusted}
  default_backend pool
backend pool
  balance roundrobin
  ${production ? "cookie session insert indirect nocache" : ""}
  ${backends.map((backend, index) => `server b${index} 127.0.0.1:${backend}${check}${cookie(index)}`).join("\n  ")}
`;
}
