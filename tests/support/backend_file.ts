/** A file with a list of backends, for tests of discovery. */

/** Dispose of it to remove it. */
export class BackendFile implements AsyncDisposable {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  static async create(list: readonly unknown[] | undefined): Promise<BackendFile> {
    const file = new BackendFile(`${await Deno.makeTempDir()}/backends.json`);
    if (list !== undefined) await file.write(list);
    return file;
  }

  /** The setting that finds this file's backends, and looks for changes often. */
  get discover() {
    return { file: this.path, refresh: 100, drain: "5s", keepFor: "1s" } as const;
  }

  /** Writes another list in one step. Text is written as it is. */
  async write(list: readonly unknown[] | string): Promise<void> {
    await Deno.writeTextFile(`${this.path}.new`, typeof list === "string" ? list : JSON.stringify(list));
    await Deno.rename(`${this.path}.new`, this.path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path.slice(0, this.path.lastIndexOf("/")), { recursive: true });
  }
}
