// What DynamicsWebApi's users do all day, against a simulated environment; prints what came of it as JSON.
// node dynamics_web_api.mjs <url> <tenant> <client id> <client secret>
import { DynamicsWebApi } from "dynamics-web-api";

const [url, tenant, clientId, clientSecret] = process.argv.slice(2);

async function token() {
  const form = { grant_type: "client_credentials", client_id: clientId, client_secret: clientSecret, scope: `${url}/.default` };
  const answer = await fetch(`${url}/${tenant}/oauth2/v2.0/token`, { method: "POST", body: new URLSearchParams(form) });
  return (await answer.json()).access_token;
}

const api = new DynamicsWebApi({ serverUrl: url, dataApi: { version: "9.2" }, onTokenRefresh: token });
const collection = "accounts";
const found = {};
const refused = (fault) => ({ status: fault.status, code: fault.code, message: fault.message });

found.organization = (await api.callFunction("WhoAmI")).OrganizationId;
const made = await api.create({ collection, data: { name: "Alder", telephone1: "1", creditlimit: 10.5 }, returnRepresentation: true });
const key = made.accountid;
found.made = [made.name, made.creditlimit, Boolean(made["@odata.etag"] ?? made.oDataEtag)];
found.bare = (await api.create({ collection, data: { name: "Bare" } })).length;
const read = await api.retrieve({ collection, key, select: ["name", "telephone1"] });
found.read = [read.name, read.telephone1];

// Conditions.
await api.update({ collection, key, data: { name: "Birch" } });
found.stale = await api.update({ collection, key, data: { name: "x" }, ifmatch: read["@odata.etag"] });
const now = await api.retrieve({ collection, key, select: ["name"] });
found.fresh = await api.update({ collection, key, data: { telephone1: null }, ifmatch: now["@odata.etag"] });
await api.updateSingleProperty({ collection, key, fieldValuePair: { telephone1: "2" } });
found.property = (await api.retrieve({ collection, key, select: ["telephone1"] })).telephone1;
await api.deleteRecord({ collection, key, fieldName: "telephone1" });
found.cleared = (await api.retrieve({ collection, key, select: ["telephone1"] })).telephone1;
const last = await api.retrieve({ collection, key, select: ["name"] });
found.unchanged = await api.retrieve({ collection, key, select: ["name"], ifnonematch: last["@odata.etag"] }).then((row) => row ?? null, (fault) => fault.status);

// The alternate key.
const own = "isthmus_id='it''s'";
found.upserted = (await api.upsert({ collection, key: own, data: { name: "Cedar" }, returnRepresentation: true })).name;
found.again = (await api.upsert({ collection, key: own, data: { name: "Cedar 2" }, returnRepresentation: true })).name;
found.absent = await api.upsert({ collection, key: "isthmus_id='none'", data: { name: "x" }, ifmatch: "*" });

// Pages, filters, order, counts.
for (let n = 0; n < 7; n += 1) await api.create({ collection, data: { name: `N${n}`, numberofemployees: n } });
const names = (rows) => rows.map((row) => row.name);
const query = { collection, select: ["name"], filter: "contains(name,'N') and numberofemployees gt 1", orderBy: ["name desc"] };
found.filtered = names((await api.retrieveMultiple(query)).value);
const page = await api.retrieveMultiple({ ...query, maxPageSize: 2 });
const next = await api.retrieveMultiple({ ...query, maxPageSize: 2 }, page.oDataNextLink);
found.pages = [names(page.value), names(next.value)];
found.all = names((await api.retrieveAll({ ...query, maxPageSize: 2 })).value).length;
found.counted = (await api.retrieveMultiple({ ...query, top: 1, count: true })).oDataCount;

// Relationships.
const contact = await api.create({
  collection: "contacts",
  data: { lastname: "Moss", "parentcustomerid_account@odata.bind": `/accounts(${key})` },
  returnRepresentation: true,
});
found.parent = contact._parentcustomerid_value === key;

// Batches: a changeset is all or nothing.
api.startBatch();
api.create({ collection, data: { name: "Batch" }, contentId: "1" });
api.create({ collection: "contacts", data: { lastname: "B", "parentcustomerid_account@odata.bind": "$1" } });
found.batch = (await api.executeBatch()).length;
api.startBatch();
api.create({ collection, data: { name: "Undone" } });
api.create({ collection, data: { name: "x".repeat(5000) } });
found.refusedBatch = await api.executeBatch().then(() => null, (faults) => [].concat(faults).length);
found.undone = (await api.retrieveMultiple({ collection, filter: "name eq 'Undone'" })).value.length;
api.startBatch();
api.retrieve({ collection, key, select: ["name"] });
api.retrieveMultiple({ collection, select: ["name"], filter: "name eq 'N1'" });
const [one, some] = await api.executeBatch();
found.readInBatch = [one.name, names(some.value)];

// Refusals, and the end.
found.missing = await api.retrieve({ collection, key: "00000000-0000-0000-0000-000000000001" }).then(() => null, refused);
found.wrong = await api.create({ collection, data: { nonsense: 1 } }).then(() => null, refused);
found.deleted = await api.deleteRecord({ collection, key });
found.gone = await api.retrieve({ collection, key }).then(() => null, (fault) => fault.status);
console.log(JSON.stringify(found));
