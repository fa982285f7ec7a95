// The table of keys: whatever is repeated or comes late, it is what the store is.

import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { type KeyChange, KeyTable } from "../../../../src/sources/etcd/key_table.ts";

const url = (host: number) => btoa(`http://10.0.0.${host}:8080`);

Deno.test("KeyTable agrees with the store after any changes, with a list in between and events that come again", () => {
  const change = fc.record({
    key: fc.integer({ min: 0, max: 5 }),
    host: fc.option(fc.integer({ min: 1, max: 250 })),
    again: fc.boolean(),
    list: fc.boolean(),
  });
  fc.assert(fc.property(fc.array(change, { maxLength: 40 }), (changes) => {
    const table = new KeyTable("/p/");
    const store = new Map<string, { readonly revision: number; readonly value: string }>();
    const events: KeyChange[] = [];
    let revision = 1;
    for (const { key: number, host, again, list } of changes) {
      const key = btoa(`/p/${number}`);
      revision++;
      if (host === null) store.delete(key);
      else store.set(key, { revision, value: url(host) });
      events.push({ key, revision, value: host === null ? null : url(host) });
      if (list) {
        const keys = Array.from(store, ([key, held]) => ({ key, ...held }));
        table.replace({ revision, count: keys.length, keys });
      }
      if (again) { for (const event of events) table.apply([event]); }
      else table.apply(events.slice(-1));
      const last = Math.max(0, ...Array.from(store.values(), ({ revision }) => revision));
      assertEquals(table.agreesWith({ revision, count: store.size, lastChange: last }), true);
      assertEquals(table.agreesWith({ revision, count: store.size + 1, lastChange: last }), false);
      assertEquals(table.agreesWith({ revision, count: store.size, lastChange: last + 1 }), false);
    }
    const wanted = [...new Set(Array.from(store.values(), ({ value }) => atob(value)))].sort();
    assertEquals(table.backends().map(({ spec }) => spec.url).sort(), wanted);
  }));
});
