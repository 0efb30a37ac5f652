package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/demo"
	"github.com/litefs-s3/litefs-s3/objstore"
)

// shop is a database of a few coffee shops, and its replica.
type shop struct {
	source *demo.Source
	store  objstore.Store
	rnd    *rand.Rand
	now    time.Time // of the next transaction
}

const (
	past         = 2 * time.Hour // that the sample has
	transactions = 240           // in it
	mistakeAt    = 150           // the transaction in which somebody forgets a WHERE
	repairedAt   = 158
)

const schema = `
CREATE TABLE shops(id INTEGER PRIMARY KEY, city TEXT NOT NULL, opened TEXT NOT NULL);
CREATE TABLE products(id INTEGER PRIMARY KEY, name TEXT NOT NULL, price REAL NOT NULL);
CREATE TABLE orders(id INTEGER PRIMARY KEY, shop INTEGER NOT NULL REFERENCES shops, product INTEGER NOT NULL REFERENCES products,
  pieces INTEGER NOT NULL, total REAL NOT NULL, at TEXT NOT NULL, receipt TEXT NOT NULL);
CREATE INDEX orders_by_product ON orders(product);
CREATE INDEX orders_by_shop ON orders(shop, at);
CREATE VIEW revenue AS SELECT city, name AS product, sum(pieces) AS pieces, round(sum(total), 2) AS total
  FROM orders JOIN shops ON shops.id = shop JOIN products ON products.id = product GROUP BY shop, product;
INSERT INTO shops(city, opened) VALUES ('Berlin', '2019-04-01'), ('Lisbon', '2020-09-12'), ('Oslo', '2021-02-20'), ('Kyoto', '2022-11-05'),
  ('Montréal', '2023-06-17');
INSERT INTO products(name, price) VALUES ('Espresso', 2.4), ('Flat white', 3.9), ('Cappuccino', 3.6), ('Filter', 2.9), ('Cold brew', 4.2),
  ('Matcha latte', 4.8), ('Croissant', 2.6), ('Cinnamon roll', 3.4), ('Beans, 250 g', 9.5), ('Beans, 1 kg', 32.0);
WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n LIMIT 12000)
INSERT INTO orders(shop, product, pieces, total, at, receipt)
SELECT 1 + i*7919%5, products.id, 1 + i*31%3, round((1 + i*31%3) * price, 2), strftime('%Y-%m-%dT%H:%M:%SZ', {start} - (12000-i)*90, 'unixepoch'), hex(randomblob(50))
  FROM n JOIN products ON products.id = 1 + (i*2654435761 >> 9)%10`

// newShop makes a shop with two hours of history that end now.
func newShop(ctx context.Context, path string, store objstore.Store, end time.Time) (*shop, error) {
	s := &shop{store: store, rnd: rand.New(rand.NewPCG(2026, 11)), now: end.Add(-past)}
	source, err := demo.NewSource(ctx, path, store)
	if err != nil {
		return nil, err
	}
	s.source = source
	source.Now = func() time.Time { return s.now }
	start := fmt.Sprint(s.now.Unix())
	if _, err := source.Commit(ctx, strings.ReplaceAll(schema, "{start}", start)); err != nil {
		return nil, err
	}
	step := past / (transactions + 1)
	for n := 1; n <= transactions; n++ {
		s.now = s.now.Add(step*3/4 + time.Duration(s.rnd.Int64N(int64(step/2))))
		if _, err := source.Commit(ctx, s.transaction(n)); err != nil {
			return nil, err
		}
	}
	source.Now = nil
	return s, compactAll(ctx, store)
}

// transaction is what happens in the nth transaction of the past.
func (s *shop) transaction(n int) string {
	switch {
	case n == mistakeAt:
		return "CREATE TABLE orders_backup AS SELECT id, total FROM orders; UPDATE orders SET total = 0"
	case n == repairedAt:
		return "UPDATE orders SET total = coalesce((SELECT total FROM orders_backup AS b WHERE b.id = orders.id), pieces * 3.6); DROP TABLE orders_backup"
	case n%60 == 0:
		return fmt.Sprintf("UPDATE products SET price = round(price * 1.05, 1) WHERE id = %d", 1+s.rnd.IntN(10))
	case n%90 == 45:
		return "CREATE TABLE IF NOT EXISTS reviews(id INTEGER PRIMARY KEY, product INTEGER REFERENCES products, stars INTEGER, text TEXT);" +
			"INSERT INTO reviews(product, stars, text) VALUES (2, 5, 'Best in town ☕'), (6, 4, 'A little sweet'), (8, 5, 'Still warm!')"
	}
	return s.orders(1 + s.rnd.IntN(6))
}

// orders are so many of them.
func (s *shop) orders(n int) string {
	var sql strings.Builder
	at := s.now.UTC().Format(time.RFC3339)
	for range n {
		pieces := 1 + s.rnd.IntN(4)
		fmt.Fprintf(&sql, "INSERT INTO orders(shop, product, pieces, total, at, receipt) SELECT %d, id, %d, round(%d * price, 2), '%s', hex(randomblob(50)) FROM products WHERE id = %d;",
			1+s.rnd.IntN(5), pieces, pieces, at, 1+s.rnd.IntN(10))
	}
	return strings.TrimSuffix(sql.String(), ";")
}

// sell is one transaction of the present.
func (s *shop) sell(ctx context.Context) error {
	s.now = time.Now()
	_, err := s.source.Commit(ctx, s.orders(1+s.rnd.IntN(3)))
	return err
}
