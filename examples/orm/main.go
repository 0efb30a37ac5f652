package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/pitr"
)

func main() {
	replica := flag.String("replica", os.Getenv("LITESTREAM_REPLICA_URL"), "URL of the replica")
	when := flag.String("at", "", "show the orders of this moment, and buy nothing")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	run := func() error { return order(ctx, *replica) }
	if *when != "" {
		run = func() error { return show(ctx, *replica, *when) }
	}
	if err := run(); err != nil {
		slog.Error("orm has ended", "err", err)
		os.Exit(1)
	}
}

// order makes the tables when there are none, buys something, and shows the newest orders.
func order(ctx context.Context, replica string) (err error) {
	db, pool, err := open(ctx, litefss3.Config{ReplicaURL: replica, Write: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pool.Close()) }() // it says what could not be uploaded
	db = db.WithContext(ctx)
	if err := migrate(db); err != nil {
		return err
	}
	if err := db.Clauses(clause.OnConflict{DoNothing: true}).Create(&Product{Name: "tea", Stock: 100}).Error; err != nil {
		return err
	}
	if _, err := buy(db, "Ada", "tea", 1); err != nil {
		return err
	}
	return print(db)
}

// show prints the orders of a moment, of a replica that it only reads.
func show(ctx context.Context, replica, when string) error {
	target, err := pitr.Parse(when, time.Now())
	if err != nil {
		return err
	}
	_, pool, err := open(ctx, litefss3.Config{ReplicaURL: replica, ReadOnly: true})
	if err != nil {
		return err
	}
	defer pool.Close()
	return at(ctx, pool, target.String(), print)
}

func print(db *gorm.DB) error {
	orders, err := newest(db, 10)
	for _, o := range orders {
		for _, line := range o.Lines {
			fmt.Printf("order %d: %d %s for %s\n", o.ID, line.Count, line.Product.Name, o.Customer)
		}
	}
	return err
}
