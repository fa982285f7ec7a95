// The files of deploy/: what whoever copies them relies on.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { parseCommand } from "../../src/cli/command.ts";
import { validateConfig } from "../../src/config/validate.ts";
import { loadConfig } from "../../src/config/load.ts";

const read = (path: string) => Deno.readTextFileSync(new URL(`../../${path}`, import.meta.url));

Deno.test("the systemd unit limits what a flood can take, and sets nothing twice", () => {
  // It had no limit of memory: the whole machine ran out of it, not one service.
  const directives = read("deploy/roundhouse.service").split("\n").filter((line) => /^[A-Z]\w+=/.test(line));
  const names = directives.map((line) => line.slice(0, line.indexOf("=")));
  for (const name of ["MemoryMax", "TasksMax", "LimitNOFILE", "NoNewPrivileges", "ProtectSystem"]) {
    assertEquals(names.filter((other) => other === name).length, 1, name);
  }
  assert(directives.includes("Restart=on-failure"), "who is ended for its memory is started anew");
});

Deno.test("the Kubernetes manifest holds no token, and keeps the admin port from strangers", () => {
  // A token that stands in the file is the token of everybody who applies it unchanged.
  const documents = read("deploy/kubernetes.yaml").split(/^---$/m);
  const kinds = documents.map((text) => /^kind: (\w+)$/m.exec(text)?.[1]);
  assertEquals(kinds, [
    "ServiceAccount",
    "Role",
    "RoleBinding",
    "ConfigMap",
    "Deployment",
    "Service",
    "PodDisruptionBudget",
    "NetworkPolicy",
    "Deployment",
    "Service",
    "NetworkPolicy",
  ]);
  const of = (kind: string) => documents[kinds.indexOf(kind)] ?? "";
  const [config, deployment, service, policy] = [of("ConfigMap"), of("Deployment"), of("Service"), of("NetworkPolicy")];
  assertMatch(config, /"token": "\$\{ROUNDHOUSE_ADMIN_TOKEN\}"/);
  assertMatch(deployment, /secretKeyRef: \{ name: roundhouse, key: admin-token \}/);
  assertEquals(/optional/.test(deployment), false, "no pod may start without the Secret");
  assertEquals(/admin|8081/.test(service), false);
  // A changed ConfigMap had no effect before a restart, and both replicas could be on one node.
  assertMatch(deployment, /args: \["--config", "\/etc\/roundhouse\/config.json", "--watch-config"\]/);
  assertMatch(deployment, /mountPath: \/etc\/roundhouse,/);
  assertEquals(/subPath/.test(deployment), false, "a subPath is never updated");
  assertEquals(Array.from(deployment.matchAll(/topologyKey: (\S+)/g), ([, key]) => key), [
    "kubernetes.io/hostname",
    "topology.kubernetes.io/zone",
  ]);
  assertMatch(deployment, /prometheus\.io\/port: "8081"/);
  assertMatch(policy, /- ports: \[\{ port: http \}\]\n {4}- ports: \[\{ port: admin \}\]\n {6}from:/);
});

Deno.test("the Kubernetes manifest lets roundhouse watch the endpoints that its configuration names, and nothing else", () => {
  const text = read("deploy/kubernetes.yaml");
  const [account = "", role = "", binding = "", configMap = "", deployment = ""] = text.split(/^---$/m);
  const env = new Map([["NAMESPACE", "shop"], ["ROUNDHOUSE_ADMIN_TOKEN", "abc"], ["REDIS_PASSWORD", "def"]]);
  const [, config = ""] = configMap.split("  config.json: |\n");
  const { config: { discover, backends } } = loadConfig({
    path: "config.json",
    flags: {},
    env: (name) => env.get(name),
    readFile: () => config,
    readStdin: () => "",
  });
  assert(discover?.kind === "kubernetes");
  assertEquals([discover.namespace, discover.port, discover.api, backends], ["shop", "http", null, []]);
  assertMatch(deployment, /- name: NAMESPACE\n +valueFrom: \{ fieldRef: \{ fieldPath: metadata\.namespace \} \}/);
  assert(role.endsWith(
    `rules:\n  - apiGroups: ["discovery.k8s.io"]\n    resources: ["endpointslices"]\n    verbs: ["get", "list", "watch"]\n`,
  ));
  assertMatch(binding, /roleRef: \{.* kind: Role, name: roundhouse \}\n/);
  assert(binding.endsWith("subjects:\n  - { kind: ServiceAccount, name: roundhouse }\n"));
  // Without the token, the API server does not say where the backends are.
  assertMatch(account, /automountServiceAccountToken: false/);
  assertMatch(deployment, /serviceAccountName: roundhouse\n +automountServiceAccountToken: true/);
  assert(deployment.includes("\n  replicas: 2\n"));
});

Deno.test("the Dockerfile builds from pinned images and from what it may see", () => {
  // It took a file that only some hosts can build, and whatever image was called stable that day.
  const text = read("deploy/Dockerfile");
  const images = new Map(
    Array.from(text.matchAll(/^ARG (\w+)=(\S+)$/gm), ([, name = "", image = ""]) => [name, image]),
  );
  const used = Array.from(text.matchAll(/^FROM \$\{(\w+)\}/gm), ([, name = ""]) => images.get(name) ?? "");
  assertEquals([used.length, text.match(/^FROM /gm)?.length], [2, 2]);
  for (const image of used) assertMatch(image, /(:.*\d+\.\d+\.\d+|-\d{8}\b|@sha256:)/);
  const copied = Array.from(text.matchAll(/^COPY (?!--)(.+) \S+$/gm), ([, names = ""]) => names.split(" ")).flat();
  const seen = read("deploy/Dockerfile.dockerignore").trim().split("\n");
  assertEquals(seen.sort(), ["*", ...copied.map((name) => `!${name}`)].sort());
});

Deno.test("the compose file keeps Docker's socket from the program that clients talk to", () => {
  const [services = "", rest = ""] = read("deploy/compose.yaml").split(/^networks:$/m);
  const service = new Map(
    services.split(/^ {2}(?=[a-z-]+:$)/m).map((text) => [/^[a-z-]+/.exec(text)?.[0] ?? "", text] as const),
  );
  const withSocket = [...service].filter(([, text]) => text.includes("docker.sock:")).map(([name]) => name);
  assertEquals(withSocket, ["docker-socket-proxy"]);
  assertMatch(service.get("docker-socket-proxy") ?? "", /environment: \{ CONTAINERS: 1, EVENTS: 1, POST: 0 \}/);
  // Nothing but roundhouse is in the network of the proxy, and only the port of the proxy's clients is published.
  const inside = [...service].filter(([, text]) => /networks: \[.*docker\]/.test(text)).map(([name]) => name);
  assertEquals(inside, ["roundhouse", "docker-socket-proxy"]);
  assertEquals(Array.from(services.matchAll(/ports: (.*)$/gm), ([, ports]) => ports), [`["8080:8080"]`]);
  const images = Array.from(services.matchAll(/image: (\S+)$/gm), ([, image = ""]) => image);
  for (const image of images) assertMatch(image, /:v?\d+\.\d+\.\d+$/);
  // What the label and the network are called in the configuration is what they are called above it.
  const { config, warnings } = validateConfig(JSON.parse(rest.slice(rest.indexOf("{\n"))));
  const { discover } = config;
  assert(discover?.kind === "docker");
  assertEquals(warnings, []);
  assertMatch(service.get("app") ?? "", new RegExp(`labels: \\{ ${discover.label}: ${discover.value} \\}`));
  assertMatch(rest, new RegExp(`app: \\{ name: ${discover.network} \\}`));
});

Deno.test("the image keeps its state in a folder that its user may write to", () => {
  // Its user has no home: without the variable, each start ordered all certificates by ACME anew.
  const text = read("deploy/Dockerfile");
  const [, folder = ""] = /^ENV .*\bROUNDHOUSE_STATE_DIR=(\S+)$/m.exec(text) ?? [];
  const [, made = ""] = /install -d -o roundhouse -g roundhouse -m 700 (.+)$/m.exec(text) ?? [];
  assert(folder !== "" && made.split(" ").includes(folder), folder);
});

Deno.test("the image checks its health with the program itself", () => {
  // It had curl for that, and nothing else in it needed curl.
  const text = read("deploy/Dockerfile");
  const [, command = ""] = /^HEALTHCHECK .*CMD \["roundhouse", (.+)\]$/m.exec(text) ?? [];
  assertEquals(parseCommand(JSON.parse(`[${command}]`)), parseCommand(["ready", "--admin", "127.0.0.1:8081"]));
  assertEquals(/curl/.test(text), false);
});

Deno.test("the replicas of the compose file and of the Kubernetes manifest share a Redis that nobody else reaches", () => {
  const env = new Map([["NAMESPACE", "shop"], ["ROUNDHOUSE_ADMIN_TOKEN", "abc"], ["REDIS_PASSWORD", "def"]]);
  const clusterOf = (text: string) =>
    loadConfig({
      path: "config.json",
      flags: {},
      env: (name) => env.get(name),
      readFile: () => text,
      readStdin: () => "",
    }).config.cluster;
  assertEquals(clusterOf(read("deploy/compose-replicas.json"))?.redis, "redis://:def@redis:6379");
  const [services = "", networks = ""] = read("deploy/compose-replicas.yaml").split(/^networks:$/m);
  const [, redis = ""] = services.split(/^ {2}redis:$/m);
  assertEquals([/ports:/.test(redis), /networks: \[store\]/.test(redis)], [false, true]);
  assertMatch(redis, /--requirepass "\$\$REDIS_PASSWORD"/);
  assertMatch(networks, /store:\n {4}internal: true/);
  assertEquals(services.match(/<<: \*replica/g)?.length, 2);
  // The admin API of each replica is published on this machine only.
  assertEquals(services.match(/"127\.0\.0\.1:80[89]1:8081"/g)?.length, 2);

  const documents = read("deploy/kubernetes.yaml").split(/^---$/m);
  const [, config = ""] = documents.find((text) => text.includes("kind: ConfigMap"))?.split("  config.json: |\n") ?? [];
  assertEquals(clusterOf(config)?.redis, "redis://:def@roundhouse-redis:6379");
  const policy = documents.at(-1) ?? "";
  assertMatch(policy, /kind: NetworkPolicy/);
  assert(policy.endsWith(
    `ingress:
    - ports: [{ port: redis }]
      from:
        - podSelector:
            matchLabels: { app.kubernetes.io/name: roundhouse }
`,
  ));
});
