// What jsforce's users do all day, against a simulated org; prints what came of it as JSON.
// node jsforce.cjs <url> <client id> <client secret>
const { Connection } = require("jsforce");
const { StreamingExtension } = require("jsforce/lib/api/streaming");

const [url, clientId, clientSecret] = process.argv.slice(2);

async function main() {
  const conn = new Connection({ loginUrl: url, version: "60.0", oauth2: { loginUrl: url, clientId, clientSecret } });
  await conn.authorize({ grant_type: "client_credentials" });
  const account = conn.sobject("Account");
  const found = { instance: conn.instanceUrl };

  found.created = await account.create({ Name: "Alder", NumberOfEmployees: 7 });
  found.read = (await account.retrieve(found.created.id)).Name;
  found.updated = (await account.update({ Id: found.created.id, Phone: "1" })).success;
  found.upserted = await account.upsert({ Isthmus_Id__c: "c-1", Name: "Birch" }, "Isthmus_Id__c");
  found.refused = await account.create({ Phone: "1" }).catch((fault) => fault.errorCode);

  // sObject Collections.
  const records = Array.from({ length: 5 }, (_, n) => ({ Isthmus_Id__c: `m-${n}`, Name: n === 3 ? "x".repeat(300) : `N${n}` }));
  const many = await account.upsert(records, "Isthmus_Id__c", { allOrNone: false });
  found.many = many.map((one) => (one.success ? one.created : one.errors[0].statusCode));
  const strict = await account.create([{ Name: "a" }, { Phone: "1" }], { allOrNone: true });
  found.strict = strict.map((one) => one.errors[0].statusCode);
  const ids = many.filter((one) => one.success).map((one) => one.id);
  found.retrieved = (await account.retrieve(ids)).map((one) => one.Name);

  // Queries, in pages.
  const all = await conn.query("SELECT Id, Name FROM Account WHERE Name LIKE 'N%' ORDER BY Name DESC", { autoFetch: true });
  found.queried = all.records.map((one) => one.Name);
  found.count = (await conn.query("SELECT COUNT() FROM Account")).totalSize;
  found.destroyed = (await account.destroy(ids.slice(0, 2))).every((one) => one.success);
  const binned = await conn.query("SELECT Id FROM Account WHERE IsDeleted = true", { scanAll: true });
  found.binned = binned.totalSize;
  const [start, end] = [new Date(Date.now() - 3600e3), new Date(Date.now() + 120e3)];
  found.changed = (await account.updated(start, end)).ids.length;
  found.deleted = (await account.deleted(start, end)).deletedRecords.length;

  // Composite.
  const base = "/services/data/v60.0";
  const whole = await conn.requestPost(`${base}/composite`, {
    allOrNone: true,
    compositeRequest: [
      { method: "PATCH", url: `${base}/sobjects/Account/Isthmus_Id__c/c-9`, referenceId: "a", body: { Name: "Cedar" } },
      { method: "POST", url: `${base}/sobjects/Contact`, referenceId: "c", body: { LastName: "Moss", AccountId: "@{a.id}" } },
    ],
  });
  found.composite = whole.compositeResponse.map((one) => one.httpStatusCode);

  // Bulk API 2.0.
  conn.bulk2.pollInterval = 50;
  const input = Array.from({ length: 300 }, (_, n) => ({ Isthmus_Id__c: `b-${n}`, Name: n === 7 ? "y".repeat(300) : `B "${n}",\n` }));
  const job = { object: "Account", operation: "upsert", externalIdFieldName: "Isthmus_Id__c", input };
  const bulk = await conn.bulk2.loadAndWaitForResults({ ...job, pollTimeout: 20000, pollInterval: 50 });
  found.bulk = [bulk.successfulResults.length, bulk.failedResults.length, bulk.unprocessedRecords.length];
  found.why = bulk.failedResults[0].sf__Error.split(":")[0];
  // One page: with several, jsforce 3.10 writes to a stream that it has ended.
  const stream = await conn.bulk2.query("SELECT Name FROM Account WHERE Isthmus_Id__c LIKE 'b-1%'", { pollTimeout: 20000, pollInterval: 50 });
  found.streamed = (await stream.toArray()).map((one) => one.Name).sort()[0];

  // The Streaming API, from the start of what is kept.
  const told = [];
  const client = conn.streaming.createClient([new StreamingExtension.Replay("/data/ChangeEvents", -2)]);
  const heard = new Promise((enough) => {
    client.subscribe("/data/ChangeEvents", (event) => (told.push(event.payload.ChangeEventHeader.changeType), told.length === 3 && enough()));
  });
  await Promise.race([heard, new Promise((_, late) => setTimeout(() => late(new Error("no events")), 20000))]);
  client.disconnect();
  found.heard = told.slice(0, 3);

  found.limits = conn.limitInfo.apiUsage.limit;
  console.log(JSON.stringify(found));
  process.exit(0);
}

main().catch((fault) => {
  console.error(fault);
  process.exit(1);
});
