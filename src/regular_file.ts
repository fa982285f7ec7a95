/** Files that an operator names. A pipe or a device there would be waited for, and everything else with it. */

/** What is named is no regular file. */
export class NotRegularFileError extends Error {
  override readonly name = "NotRegularFileError";
}

/**
 * Reads a regular file's text.
 *
 * @throws {NotRegularFileError} at once, for a folder, a pipe, a socket or a device; the runtime's errors
 */
export function readRegularFile(path: string): string {
  mustBeRegular(path);
  return Deno.readTextFileSync(path);
}

/**
 * As `readRegularFile`, of a file that may be on a slow disk. Other work goes on meanwhile.
 *
 * @throws {NotRegularFileError} also for a file with more bytes than the limit; what `stop` was fired with
 */
export async function readRegularFileWithin(path: string, limitBytes: number, stop: AbortSignal): Promise<string> {
  const info = await Deno.stat(path);
  if (!info.isFile) throw new NotRegularFileError(`${kindOf(info)}, want a regular file`);
  if (info.size > limitBytes) throw new NotRegularFileError(`it has ${info.size} bytes, want at most ${limitBytes}`);
  return await Deno.readTextFile(path, { signal: stop });
}

/** @throws {NotRegularFileError} for anything but a regular file, or a link to one; the runtime's errors */
export function mustBeRegular(path: string): void {
  const info = Deno.statSync(path);
  if (!info.isFile) throw new NotRegularFileError(`${kindOf(info)}, want a regular file`);
}

function kindOf({ isDirectory, isFifo, isSocket }: Deno.FileInfo): string {
  if (isDirectory) return "it is a directory";
  if (isFifo === true) return "it is a pipe";
  return isSocket === true ? "it is a socket" : "it is a device";
}
