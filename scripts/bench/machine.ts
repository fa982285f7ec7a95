/** What the figures depend on beside the programs: the machine, its kernel and the runtime. */

/** Named as the JSON and the page show it. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly kernel: string;
  readonly deno: string;
  readonly v8: string;
  /** Over the last minute: whether the machine had other things to do. */
  readonly loadAverage: number;
}

/** This machine, now. */
export function thisMachine(): Machine {
  return {
    cpu: /^model name\s*:\s*(.+)$/m.exec(Deno.readTextFileSync("/proc/cpuinfo"))?.[1] ?? "unknown",
    cores: navigator.hardwareConcurrency,
    memoryGiB: Math.round(Deno.systemMemoryInfo().total / 2 ** 30),
    kernel: `Linux ${Deno.osRelease().split(".").slice(0, 2).join(".")}`,
    deno: Deno.version.deno,
    v8: Deno.version.v8,
    loadAverage: Deno.loadavg()[0] ?? NaN,
  };
}
