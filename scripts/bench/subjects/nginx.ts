/** nginx as a proxy. */
import { nginxLaunch } from "../nginx.ts";
import { installed, type Site, type Subject } from "../subject.ts";

/** nginx with one worker. It learns of dead backends only from requests that fail there. */
export const nginx: Subject = {
  name: "nginx",
  title: "nginx",
  ...installed("nginx", "nginx-light"),
  versionArgs: ["-v"],
  launch: (site) => nginxLaunch(site.program, site.directory, { http: http(site) }),
};

function http({ port, backends, certificate }: Site): string {
  const secure = certificate === undefined ? "" : `
    ssl_certificate ${certificate.cert};
    ssl_certificate_key ${certificate.key};`;
  return `
  map $http_upgrade $connection_upgrade { default upgrade; "" ""; }
  upstream pool {
    ${backends.map((backend) => `server 127.0.0.1:${backend};`).join("\n    ")}
    keepalive 128;
    keepalive_requests 1000000000;
  }
  server {
    listen 127.0.0.1:${port} backlog=4096${certificate === undefined ? "" : " ssl"};${secure}
    location / {
      proxy_pass http://pool;
      proxy_http_version 1.1;
      proxy_max_temp_file_size 0;
      proxy_set_header Connection $connection_upgrade;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $http_host;
    }
  }`;
}
