/** `proxy.tls.acme`: certificates that an authority makes. */
import * as z from "zod";
import { filePath, text } from "../fields.ts";
import { bareSetting, later, setting } from "../setting.ts";

/** The directory of Let's Encrypt. */
const LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory";

const LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?";
const NAME_WANTED = `the name of a host such as "example.com", without a wildcard and no IP address`;

/** A name that `http-01` can be used for. The last label of a name is never a number. */
const name = z.codec(
  text(new RegExp(`^(?=.{1,253}$)(${LABEL}\\.)*(?!\\d+$)${LABEL}$`), NAME_WANTED),
  z.custom<string>(),
  { decode: (name) => name.toLowerCase(), encode: (name) => name },
);

const NAMES_WANTED = "1 to 1000 names, each once";

const DIRECTORY_WANTED = "an https:// URL without user, password and fragment";

export const acme = later(() =>
  z.strictObject({
    names: bareSetting(
      z.array(name).min(1, NAMES_WANTED).max(1000, NAMES_WANTED)
        .refine((names) => new Set(names).size === names.length, NAMES_WANTED),
      "The names. Each gets a certificate of its own.",
    ),
    email: setting(
      text(/^[^\s@,?]+@[^\s@,?]+$/, "an e-mail address, or null").nullable(),
      null,
      "Where the authority can write to, for example before a certificate ends. `null`: nowhere.",
    ),
    directory: setting(
      z.string(DIRECTORY_WANTED).refine(isDirectory, DIRECTORY_WANTED),
      LETS_ENCRYPT,
      "The URL of the authority's directory. The default is Let's Encrypt.",
      {
        more: "For tries: `https://acme-staging-v02.api.letsencrypt.org/directory`, whose limits are wide, and whose " +
          "certificates no client trusts.",
      },
    ),
    ca: setting(
      filePath.nullable(),
      null,
      "A file in PEM with the authority to trust for the connection to the directory, beside Mozilla's.",
      { more: "It is for an authority of your own." },
    ),
    eab: setting(
      z.strictObject({
        kid: bareSetting(text(/^[!-~]+$/, "visible ASCII characters without spaces"), "The id of the key."),
        hmacKey: bareSetting(text(/^[A-Za-z0-9_+/=-]+$/, "the key in Base64"), "The key.", { secret: "whole" }),
      }).nullable(),
      null,
      "A key that the authority has given you for your account there (external account binding). `null`: none.",
    ),
  })
);

function isDirectory(url: string): boolean {
  const parsed = URL.parse(url);
  return parsed !== null && parsed.protocol === "https:" && parsed.username + parsed.password + parsed.hash === "";
}
