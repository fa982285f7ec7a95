/** A tar archive of a few files: POSIX ustar, the same bytes for the same files. */

export interface Member {
  readonly path: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly mode: number;
}

const BLOCK = 512;
/** The time of change of all files, in seconds since 1970: 2020-01-01. */
const MODIFIED = 1_577_836_800;
/** Its day, as `ls -l` writes it before the year. */
export const MODIFIED_DAY = "Jan 1";

/** The archive's bytes. Paths may be up to 100 bytes long. */
export function tar(members: readonly Member[]): Blob {
  const padded = members.flatMap((member) => {
    const padding = (BLOCK - member.bytes.length % BLOCK) % BLOCK;
    return [header(member), member.bytes, new Uint8Array(padding)];
  });
  return new Blob([...padded, new Uint8Array(2 * BLOCK)]);
}

function header({ path, bytes, mode }: Member): Uint8Array<ArrayBuffer> {
  const block = new Uint8Array(BLOCK);
  const text = (offset: number, value: string) => block.set(new TextEncoder().encode(value), offset);
  const octal = (offset: number, length: number, value: number) =>
    text(offset, value.toString(8).padStart(length - 1, "0"));
  if (path.length > 100) throw new RangeError(`${path} is too long for the archive`);
  text(0, path);
  octal(100, 8, mode);
  octal(108, 8, 0);
  octal(116, 8, 0);
  octal(124, 12, bytes.length);
  octal(136, 12, MODIFIED);
  text(148, " ".repeat(8)); // the checksum counts as spaces
  text(156, "0");
  text(257, "ustar\0");
  text(263, "00");
  const checksum = block.reduce((sum, byte) => sum + byte, 0);
  text(148, `${checksum.toString(8).padStart(6, "0")}\0 `);
  return block;
}
