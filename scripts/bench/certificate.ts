/** The certificate that all subjects show to clients over HTTPS. */
import { generate } from "selfsigned";
import type { CertificateFiles } from "./subject.ts";

/** Makes a self-signed one for 127.0.0.1 (EC, P-256) and writes it to `directory`. */
export async function makeCertificate(directory: string): Promise<CertificateFiles> {
  const { cert, private: key } = await generate([{ name: "commonName", value: "benchmark" }], {
    keyType: "ec",
    algorithm: "sha256",
    extensions: [{ name: "subjectAltName", altNames: [{ type: 7, ip: "127.0.0.1" }] }],
  });
  const files = { cert: `${directory}/cert.pem`, key: `${directory}/key.pem`, both: `${directory}/both.pem` };
  await Deno.writeTextFile(files.cert, cert);
  await Deno.writeTextFile(files.key, key);
  await Deno.writeTextFile(files.both, `${cert}\n${key}`);
  return files;
}
