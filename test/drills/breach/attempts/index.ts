/** All attempts, in the order in which they are made: what changes the mesh for those after it comes last. */
import type { Attempt } from '../attempt.ts';
import { containAttempts } from './contain.ts';
import { deferredAttempts } from './deferred.ts';
import { detailAttempts } from './details.ts';
import { entryAttempts } from './entry.ts';
import { exitAttempts } from './exits.ts';
import { handleAttempts } from './handles.ts';
import { headerAttempts } from './headers.ts';
import { middleAttempts } from './middle.ts';
import { partAttempts } from './parts.ts';
import { peerAttempts } from './peers.ts';
import { recordAttempts } from './record.ts';
import { traceAttempts } from './traces.ts';
import { websocketAttempts } from './websockets.ts';

export const ALL_ATTEMPTS: readonly Attempt[] = [
  ...middleAttempts,
  ...headerAttempts,
  ...handleAttempts,
  ...traceAttempts,
  ...entryAttempts,
  ...exitAttempts,
  ...websocketAttempts,
  ...detailAttempts,
  ...deferredAttempts,
  ...peerAttempts,
  ...partAttempts,
  ...recordAttempts,
  ...containAttempts,
];
