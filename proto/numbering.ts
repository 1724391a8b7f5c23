/**
 * The numbers of every field and enum value of our protos. Events are stored and hashed as sent, and parts of two versions talk
 * to each other: a number keeps its name and type for ever. `numbering.json` holds what was ever given out; it only grows.
 *
 * `npx node proto/numbering.ts` adds what is new to it, and refuses what was changed.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import protobuf from 'protobufjs';
import { PROTO_ROOT } from './service.ts';

/** Of each message or enum, by full name: what each number means, such as `bytes epoch` or `repeated string policies`. */
export type Numbering = Readonly<Record<string, Readonly<Record<string, string>>>>;

const FILE = join(PROTO_ROOT, 'numbering.json');

/** What was given out so far. */
export function readBaseline(): Numbering {
  return JSON.parse(readFileSync(FILE, 'utf8')) as Numbering;
}

/** What the protos under `behalf/` say now, and which numbers they reserve. */
export function readProtos(): { numbering: Numbering; isReserved: (name: string, number: number) => boolean } {
  const root = new protobuf.Root();
  const files = readdirSync(join(PROTO_ROOT, 'behalf'), { recursive: true, encoding: 'utf8' });
  for (const file of files.filter((name) => name.endsWith('.proto'))) {
    protobuf.parse(readFileSync(join(PROTO_ROOT, 'behalf', file), 'utf8'), root, { keepCase: true });
  }
  const numbering: Record<string, Record<string, string>> = {};
  visit(root, (found) => {
    if (found instanceof protobuf.Field) {
      const name = `extend ${found.extend}`;
      numbering[name] = { ...numbering[name], [found.id]: meaningOf(found) };
    } else {
      numbering[found.fullName.slice(1)] = found instanceof protobuf.Type ? fieldsOf(found) : valuesOf(found);
    }
  });
  return { numbering, isReserved: (name, number) => reserves(root, name, number) };
}

/** What is wrong with `now` by the rule above, in words; empty if nothing. */
export function compareNumbering(
  baseline: Numbering,
  now: Numbering,
  isReserved: (name: string, number: number) => boolean,
): string[] {
  const faults: string[] = [];
  for (const [name, numbers] of Object.entries(baseline)) {
    for (const [number, meaning] of Object.entries(numbers)) {
      const current = now[name]?.[number];
      if (current === meaning) continue;
      if (current !== undefined) faults.push(`${name} ${number} was \`${meaning}\` and is \`${current}\``);
      else if (now[name] !== undefined && !isReserved(name, Number(number))) {
        faults.push(`${name} ${number} (\`${meaning}\`) was removed without being reserved`);
      }
    }
  }
  return faults;
}

/** What `now` has and the baseline does not. */
export function missingFrom(baseline: Numbering, now: Numbering): string[] {
  return Object.entries(now).flatMap(([name, numbers]) =>
    Object.keys(numbers)
      .filter((number) => baseline[name]?.[number] === undefined)
      .map((number) => `${name} ${number}`),
  );
}

/** Messages, enums, and fields that extend somebody else's message. */
function visit(
  namespace: protobuf.NamespaceBase,
  each: (found: protobuf.Type | protobuf.Enum | protobuf.Field) => void,
): void {
  for (const nested of namespace.nestedArray) {
    if (nested instanceof protobuf.Type || nested instanceof protobuf.Enum || nested instanceof protobuf.Field)
      each(nested);
    if (nested instanceof protobuf.Namespace) visit(nested, each);
  }
}

function fieldsOf(type: protobuf.Type): Record<string, string> {
  // One number twice in a message is an error of the parser already.
  return Object.fromEntries(type.fieldsArray.map((field) => [String(field.id), meaningOf(field)]));
}

function meaningOf(field: protobuf.Field): string {
  const type = field.type.replace(/^\./, '');
  const kind = field instanceof protobuf.MapField ? `map<${field.keyType}, ${type}>` : type;
  return `${field.repeated ? 'repeated ' : ''}${kind} ${field.name}`;
}

function valuesOf({ values }: protobuf.Enum): Record<string, string> {
  return Object.fromEntries(Object.entries(values).map(([name, number]) => [String(number), name]));
}

function reserves(root: protobuf.Root, name: string, number: number): boolean {
  const type = root.lookup(name, [protobuf.Type, protobuf.Enum]);
  return (type instanceof protobuf.Type || type instanceof protobuf.Enum) && type.isReservedId(number);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { numbering, isReserved } = readProtos();
  const baseline = readBaseline();
  const faults = compareNumbering(baseline, numbering, isReserved);
  if (faults.length > 0) throw new Error(faults.join('\n'));
  const grown: Record<string, Record<string, string>> = {};
  for (const name of [...new Set([...Object.keys(baseline), ...Object.keys(numbering)])].sort()) {
    grown[name] = { ...baseline[name], ...numbering[name] };
  }
  writeFileSync(FILE, `${JSON.stringify(grown, null, 2)}\n`);
}
