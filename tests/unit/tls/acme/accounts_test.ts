import { assertEquals } from "@std/assert";
import type { Account, AccountKeeper } from "../../../../src/tls/acme/account.ts";
import { SharedAccount } from "../../../../src/tls/acme/accounts.ts";
import { SharedAwayError } from "../../../../src/tls/acme/shared.ts";

class Keeper implements AccountKeeper {
  kept: Account | undefined;
  isAway = false;

  account(): Promise<Account | undefined> {
    return this.isAway ? Promise.reject(new SharedAwayError("away")) : Promise.resolve(this.kept);
  }
  keepAccount(account: Account): Promise<void> {
    if (this.isAway) return Promise.reject(new SharedAwayError("away"));
    this.kept = account;
    return Promise.resolve();
  }
}

const ONE: Account = { key: "one", url: undefined, email: null };
const OTHER: Account = { key: "other", url: "https://acme.example/2", email: null };

Deno.test("a SharedAccount is the one that the replicas share, which is this replica's if there is none yet", async () => {
  const [own, shared] = [new Keeper(), new Keeper()];
  const account = new SharedAccount(own, shared);
  assertEquals(await account.account(), undefined);
  own.kept = ONE;
  assertEquals([await account.account(), shared.kept], [ONE, ONE]);
  shared.kept = OTHER;
  assertEquals(await account.account(), OTHER);
  await account.keepAccount(ONE);
  assertEquals([own.kept, shared.kept], [ONE, ONE]);
});

Deno.test("while the store is away, a SharedAccount is this replica's", async () => {
  const [own, shared] = [new Keeper(), new Keeper()];
  shared.isAway = true;
  const account = new SharedAccount(own, shared);
  await account.keepAccount(ONE);
  assertEquals(await account.account(), ONE);
});
