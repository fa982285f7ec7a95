import { assertEquals } from "@std/assert";
import { Arena } from "../../../src/memory/arena.ts";
import { PoolCells } from "../../../src/memory/pool_cells.ts";

Deno.test("PoolCells.takeTurn() is never negative: it passes the sign bit and wraps at 2^32", () => {
  const arena = Arena.allocate(1, PoolCells.lines);
  const cells = new PoolCells(arena);
  for (const begin of [0x7fff_fffe, 0xffff_fffe]) {
    new Int32Array(arena.buffer)[1] = begin; // the turn counter
    const turns = [cells.turn, cells.takeTurn(), cells.takeTurn(), cells.takeTurn()];
    assertEquals(turns, [begin, begin, begin + 1, (begin + 2) % 2 ** 32]);
  }
});
