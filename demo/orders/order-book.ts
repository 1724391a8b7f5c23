/** The orders, in memory. Each belongs to the user who placed it. */
import { randomUUID } from 'node:crypto';

export interface Order {
  readonly id: string;
  /** The user as the mesh names them; the shop knows no other name. */
  readonly owner: string;
  readonly item: string;
  /** Cents. */
  readonly amount: number;
  readonly state: 'placed' | 'paid';
}

const MAX_ORDERS = 10_000;

export interface OrderBook {
  place(owner: string, item: string, amount: number): Order;
  find(id: string): Order | undefined;
  ofOwner(owner: string): Order[];
  markPaid(id: string): void;
}

/** An empty book of at most 10,000 orders; the oldest gives way. */
export function createOrderBook(): OrderBook {
  const orders = new Map<string, Order>();
  return {
    place(owner, item, amount) {
      const order: Order = { id: `o-${randomUUID().slice(0, 8)}`, owner, item, amount, state: 'placed' };
      orders.set(order.id, order);
      const [oldest] = orders.keys();
      if (orders.size > MAX_ORDERS && oldest !== undefined) orders.delete(oldest);
      return order;
    },
    find: (id) => orders.get(id),
    ofOwner: (owner) => [...orders.values()].filter((order) => order.owner === owner),
    markPaid(id) {
      const order = orders.get(id);
      if (order !== undefined) orders.set(id, { ...order, state: 'paid' });
    },
  };
}
