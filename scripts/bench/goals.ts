/** The goals of roundhouse, and whether a run has met them. */
import { medianOf, type Result } from "./results.ts";
import { number } from "./table.ts";

/** One goal in one run. */
export interface GoalResult {
  readonly text: string;
  /** The largest value that meets the goal. */
  readonly limit: number;
  readonly measured: number;
}

/** A figure of the results. */
export interface Figure {
  readonly scenario: string;
  readonly subject: string;
  readonly key: string;
}

/** One goal, for all runs. */
export interface Goal {
  readonly text: string;
  readonly limit: number;
  readonly of: Figure;
  /** If set, the limit is for the ratio to the figure of this subject. */
  readonly to?: string;
}

/** All of them. */
export const goals: readonly Goal[] = [
  cpuGoal("small", "wire", "haproxy", 1.15),
  cpuGoal("production", "wire", "haproxy", 1.4),
  cpuGoal("64k", "wire", "haproxy", 1),
  cpuGoal("1m", "wire", "haproxy", 0.7),
  cpuGoal("post", "wire", "haproxy", 1.05),
  cpuGoal("headers", "wire", "haproxy", 1.2),
  cpuGoal("connect", "wire", "haproxy", 1.7),
  cpuGoal("tls", "wire", "haproxy", 1.3),
  cpuGoal("handshake", "wire", "haproxy", 1.5),
  cpuGoal("small", "wire-2", "wire", 1.05),
  cpuGoal("small", "fetch", "stub", 1.1),
  cpuGoal("post", "fetch", "stub", 1.1),
  {
    text: "p99 at a fixed rate, wire : haproxy",
    limit: 1.1,
    of: { scenario: "rate", subject: "wire", key: "p99Ms" },
    to: "haproxy",
  },
  {
    text: "KiB per idle connection, wire",
    limit: 8,
    of: { scenario: "memory", subject: "wire", key: "idleKiB" },
  },
  ...["wire", "fetch"].flatMap((subject): Goal[] => [
    {
      text: `errors at 2,000 connections, ${subject}`,
      limit: 0,
      of: { scenario: "connections", subject, key: "errors" },
    },
    {
      text: `failed GET when a backend dies, ${subject}`,
      limit: 0,
      of: { scenario: "failure", subject, key: "failed" },
    },
    {
      text: `misplaced requests after a backend's death, ${subject}`,
      limit: 0,
      of: { scenario: "failure", subject, key: "misplaced" },
    },
    {
      text: `CPU per request, with routes : without, ${subject}`,
      limit: 1.03,
      of: { scenario: "routed", subject, key: "ratio" },
    },
    {
      text: `ms to ready with 1,000 pools, ${subject}`,
      limit: 1_500,
      of: { scenario: "pools", subject, key: "readyMs" },
    },
    { text: `MiB with 1,000 pools, ${subject}`, limit: 250, of: { scenario: "pools", subject, key: "restMiB" } },
  ]),
  ...["HOST/PATH", "*.HOST/PATH"].flatMap((subject): Goal[] => [
    {
      text: `ns for a look-up of 10 routes, ${subject}`,
      limit: 300,
      of: { scenario: "lookups", subject, key: "routes10" },
    },
    {
      text: `ns for a look-up of 10,000 routes, ${subject}`,
      limit: 500,
      of: { scenario: "lookups", subject, key: "routes10000" },
    },
  ]),
];

/** The result of each goal. Goals without all their figures are left out. */
export function goalResults(results: readonly Result[]): GoalResult[] {
  return goals.flatMap(({ text, limit, of, to }) => {
    const own = medianOf(results, of.scenario, of.subject, of.key);
    const other = to === undefined ? 1 : medianOf(results, of.scenario, to, of.key);
    return own === undefined || other === undefined ? [] : [{ text, limit, measured: own / other }];
  });
}

/** A table in Markdown: the goal, the measured value, and by how much the goal was missed. */
export function goalsTable(results: readonly GoalResult[]): string {
  const rows = results.map(({ text, limit, measured }) => {
    return `| ${text} | ${number(limit, decimalsOf(limit))} | ${number(measured, 2)} | ${verdict(measured, limit)} |`;
  });
  return ["| goal | at most | measured | |", "| --- | --: | --: | --- |", ...rows].join("\n");
}

function decimalsOf(limit: number): number {
  return String(limit).split(".")[1]?.length ?? 0;
}

function verdict(measured: number, limit: number): string {
  if (Number.isNaN(measured)) return "unknown";
  if (measured <= limit) return "met";
  return limit === 0 ? "missed" : `missed by ${Math.max(1, Math.round((measured / limit - 1) * 100))} %`;
}

function cpuGoal(scenario: string, subject: string, to: string, limit: number): Goal {
  return {
    text: `CPU per request, ${scenario}, ${subject} : ${to}`,
    limit,
    of: { scenario, subject, key: "cpuMicros" },
    to,
  };
}
