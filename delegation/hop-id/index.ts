export {
  createHopMinter,
  type DelegationHop,
  formatHop,
  HOP_ID_BYTES,
  HOP_PREFIX_BYTES,
  type HopMinter,
  isHopId,
  parseHop,
} from './hop-id.ts';
export {
  createHopWindow,
  DEFAULT_MAX_HOP_PREFIXES,
  HOP_IDLE_S,
  HOP_WINDOW,
  type HopWindow,
  MAX_HOP_PREFIXES_PER_PEER,
} from './hop-window.ts';
