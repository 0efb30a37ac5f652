// Package inmemory makes small replicas for examples to read. Elsewhere a replica lies in a bucket, and another program writes it.
package inmemory

import (
	"log"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
	"github.com/litefs-s3/litefs-s3/writer"
)

// Replica returns a store with a replica at its root that has a transaction for each statement. What fails ends the program.
func Replica(statements ...string) *memstore.Store {
	store := new(memstore.Store)
	db, err := litefss3.OpenDB(litefss3.Config{Store: store, Write: true, Durability: writer.Memory, Compaction: litefss3.CompactionOff})
	if err != nil {
		log.Fatal(err)
	}
	for _, statement := range statements {
		for _, sql := range []string{statement, "PRAGMA litestream_sync"} {
			if _, err := db.Exec(sql); err != nil {
				log.Fatal(err)
			}
		}
	}
	if err := db.Close(); err != nil {
		log.Fatal(err)
	}
	return store
}
