/** `discover` from a file: `file:PATH`. */
import * as z from "zod";
import { duration, filePath } from "../fields.ts";
import { bareSetting, inUnits, later, setting } from "../setting.ts";
import { commonKeys, type DiscoverCommon, type DiscoverKind } from "./kind.ts";

/** A file with a list of backends, which is watched. */
export interface FileDiscover extends DiscoverCommon {
  readonly kind: "file";
  readonly path: string;
  readonly refreshMs: number;
}

const keys = () =>
  inUnits(z.strictObject({
    file: bareSetting(filePath, "The path of a JSON file with a list of backends. It is watched."),
    refresh: setting(duration(100), "10s", "How often the file is read even if it seems to be the same."),
    ...commonKeys(),
  }));

const form = later(() =>
  z.codec(keys(), z.custom<FileDiscover>((value) => (value as FileDiscover).kind === "file"), {
    decode: ({ file, ...rest }): FileDiscover => ({ kind: "file", path: file, ...rest }),
    encode: ({ kind: _, path, ...rest }) => ({ file: path, ...rest }),
  })
);

export const file: DiscoverKind<typeof form> = {
  name: "file",
  words: "file:PATH",
  form,
  fromText: (rest) => ({ file: rest }),
  describe: ({ path }) => `file:${path}`,
};
