/** What the kernel tells of processes in /proc: who descends from whom, CPU time and resident memory. Linux only. */

/** CPU time in clock ticks. */
export interface CpuTicks {
  readonly user: number;
  readonly system: number;
}

/** What is used here of a line of `/proc/PID/stat`. */
export interface ProcessStat {
  readonly parent: number;
  /** Of the process and of those of its children that have ended. */
  readonly cpu: CpuTicks;
}

/** Reads the line of `/proc/PID/stat`. */
export function parseStat(line: string): ProcessStat {
  // The second field, the program's name in brackets, may hold blanks and brackets of its own.
  const fields = line.slice(line.lastIndexOf(")") + 2).split(" ").map(Number);
  const [, parent = 0] = fields;
  const [user = 0, system = 0, childrenUser = 0, childrenSystem = 0] = fields.slice(11, 15);
  return { parent, cpu: { user: user + childrenUser, system: system + childrenSystem } };
}

/** Resident memory in KiB from the text of `/proc/PID/status`; 0 for a process that has ended and not been waited for. */
export function parseResidentKiB(status: string): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0);
}

/** A process and all that descend from it, as they are now; empty when it is gone. */
export function processTree(root: number): number[] {
  const parentOf = new Map<number, number>();
  for (const { name } of Deno.readDirSync("/proc")) {
    const stat = /^\d+$/.test(name) ? statOf(Number(name)) : undefined;
    if (stat !== undefined) parentOf.set(Number(name), stat.parent);
  }
  return parentOf.has(root) ? withDescendants(root, parentOf) : [];
}

/** A process, its children, theirs and so on. */
export function withDescendants(root: number, parentOf: ReadonlyMap<number, number>): number[] {
  const childrenOf = Map.groupBy(parentOf.keys(), (pid) => parentOf.get(pid));
  const tree = [root];
  for (const pid of tree) tree.push(...childrenOf.get(pid) ?? []); // grows while it is walked
  return tree;
}

/** CPU time of a process and its descendants so far, in clock ticks. */
export function cpuTicks(root: number): CpuTicks {
  let user = 0;
  let system = 0;
  for (const pid of processTree(root)) {
    const cpu = statOf(pid)?.cpu;
    user += cpu?.user ?? 0;
    system += cpu?.system ?? 0;
  }
  return { user, system };
}

/** Resident memory of a process and its descendants. What they share counts for each. */
export function residentKiB(root: number): number {
  let total = 0;
  for (const pid of processTree(root)) total += parseResidentKiB(readProc(pid, "status") ?? "");
  return total;
}

function statOf(pid: number): ProcessStat | undefined {
  const line = readProc(pid, "stat");
  return line === undefined ? undefined : parseStat(line);
}

/** `undefined` when the process is gone. */
function readProc(pid: number, file: string): string | undefined {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/${file}`);
  } catch {
    return undefined;
  }
}
