// Which versions of TLS and which ciphers clients get: those that docs/tls.md lists, and none that are weak.

import { assert, assertEquals } from "@std/assert";
import { generate } from "selfsigned";
import { makePair, type Pair, TemporaryDirectory } from "../support/certificates.ts";
import { hasCommand } from "../support/has_command.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { TestProxy } from "../support/proxy.ts";

/** The versions and ciphers of a table of docs/tls.md. */
function listed(): { version: string; cipher: string; keys: string }[] {
  const page = Deno.readTextFileSync(new URL("../../docs/tls.md", import.meta.url));
  const rows = page.matchAll(/^\| TLS (1\.[23]) \| `(\S+)` \| (\S+) \|$/gm);
  return Array.from(rows, ([, version = "", cipher = "", keys = ""]) => ({ version, cipher, keys }));
}

/** How openssl names all suites that it knows, the weakest too. */
const EVERYTHING = "ALL:COMPLEMENTOFALL:@SECLEVEL=0";

interface Handshake {
  /** `undefined`: it failed. */
  readonly version: string | undefined;
  readonly cipher: string | undefined;
  /** Whether a renegotiation was asked for and refused. */
  readonly refused: boolean;
}

/** A handshake of `openssl`, which then asks for a renegotiation if `input` says so. */
async function handshake(port: number, options: readonly string[], input = ""): Promise<Handshake> {
  const child = new Deno.Command("openssl", {
    args: ["s_client", "-connect", `127.0.0.1:${port}`, "-servername", "localhost", ...options],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input)).catch(() => {});
  await writer.close().catch(() => {});
  const { stdout, stderr } = await child.output();
  const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  const [, version, cipher] = /^(?:New|Reused), TLSv(1\.\d), Cipher is (\S+)$/m.exec(text) ?? [];
  return { version, cipher, refused: /RENEGOTIATING[^]*no renegotiation/.test(text) };
}

async function rsaPair(): Promise<Pair> {
  const { cert, private: key } = await generate([{ name: "commonName", value: "localhost" }], { keySize: 2048 });
  return { cert, key };
}

for (const engine of ["wire", "fetch"] as const) {
  Deno.test({
    name: `${engine}: openssl gets the versions and ciphers that the page lists, and no others`,
    ignore: !hasCommand("openssl"),
    async fn() {
      const expected = listed();
      assertEquals(expected.length, 9);
      await using backend = HttpBackend.named("named");
      for (const [keys, pair] of [["EC", await makePair()], ["RSA", await rsaPair()]] as const) {
        using directory = new TemporaryDirectory();
        const tls = directory.writePair(pair);
        await using proxy = await TestProxy.start({ engine, proxy: { tls }, backends: [backend.url] });
        const got: string[] = [];
        for (const { version, cipher } of expected) {
          const option = version === "1.3" ? ["-tls1_3", "-ciphersuites", cipher] : ["-tls1_2", "-cipher", cipher];
          const { version: spoken, cipher: agreed } = await handshake(proxy.port, option);
          if (spoken !== undefined) got.push(`${spoken} ${agreed}`);
        }
        const wanted = expected.filter((row) => row.keys === "any" || row.keys === keys);
        assertEquals(got, wanted.map(({ version, cipher }) => `${version} ${cipher}`));

        const others = `${EVERYTHING}${wanted.map(({ cipher }) => `:!${cipher}`).join("")}`;
        assertEquals((await handshake(proxy.port, ["-tls1_2", "-cipher", others])).version, undefined, "other ciphers");
        for (const old of ["-tls1", "-tls1_1"]) {
          assertEquals((await handshake(proxy.port, [old, "-cipher", EVERYTHING])).version, undefined, old);
        }
        const { version, refused } = await handshake(proxy.port, ["-tls1_2"], "R\n");
        assertEquals([version, refused], ["1.2", true]);
        assert((await handshake(proxy.port, [])).version === "1.3");
      }
    },
  });
}
