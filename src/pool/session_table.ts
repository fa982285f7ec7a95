/** Placeholder until the shared table lands. */
export class SessionTable {
  static allocate(_timeoutMs: number): SessionTable {
    return new SessionTable();
  }
  find(_client: string, _nowMs: number): { slot: number; generation: number } | undefined {
    return undefined;
  }
  bind(_client: string, _slot: number, _generation: number, _nowMs: number): void {}
}
