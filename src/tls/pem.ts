/** Files of certificates and keys in PEM (RFC 7468). */

import type { X509Certificate } from "node:crypto";
import { messageOf } from "../errors.ts";
import { readRegularFile } from "../regular_file.ts";
import { x509 } from "./x509.ts";

/** What is wrong with a file. Its message follows the path of the setting. */
export class PemError extends Error {
  override readonly name = "PemError";
}

/**
 * Reads a file's text.
 *
 * @throws {PemError} when it can't be read
 */
export function readFile(path: string): string {
  try {
    return readRegularFile(path);
  } catch (error) {
    throw new PemError(`${path} can't be read: ${reasonOf(error)}`, { cause: error });
  }
}

/**
 * Returns the certificates of a text, in order.
 *
 * @throws {PemError} when there is none, or one that is damaged
 */
export function certificatesIn(text: string, path: string): X509Certificate[] {
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0) throw new PemError(`${path} has no certificate in PEM`);
  return blocks.map((block, index) => {
    try {
      return x509(block);
    } catch (error) {
      throw new PemError(`certificate ${index + 1} of ${path} is damaged: ${messageOf(error)}`, { cause: error });
    }
  });
}

function reasonOf(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "no such file";
  if (error instanceof Deno.errors.PermissionDenied || error instanceof Deno.errors.NotCapable) return "not permitted";
  return messageOf(error);
}
