package main

import (
	"errors"
	"time"

	"gorm.io/gorm"
)

// Product is what the shop sells.
type Product struct {
	ID    uint   `gorm:"primaryKey"`
	Name  string `gorm:"uniqueIndex;not null"`
	Stock int    `gorm:"not null;check:stock >= 0"`
}

// Order is what a customer has bought.
type Order struct {
	ID       uint `gorm:"primaryKey"`
	Customer string
	At       time.Time
	Lines    []Line
}

// Line is one product of an order.
type Line struct {
	ID        uint `gorm:"primaryKey"`
	OrderID   uint `gorm:"index;not null"`
	ProductID uint `gorm:"not null"`
	Product   Product
	Count     int
}

// migrate makes the tables, or brings them up to date.
func migrate(db *gorm.DB) error { return db.AutoMigrate(&Product{}, &Order{}, &Line{}) }

// errSoldOut: there is not so much of a product.
var errSoldOut = errors.New("sold out")

// buy is one transaction: an order with one line, and the stock that is less by it.
func buy(db *gorm.DB, customer, product string, count int) (order Order, err error) {
	err = db.Transaction(func(tx *gorm.DB) error {
		var p Product
		if err := tx.Where("name = ?", product).First(&p).Error; err != nil {
			return err
		}
		sold := tx.Model(&p).Where("stock >= ?", count).Update("stock", gorm.Expr("stock - ?", count))
		if sold.Error != nil {
			return sold.Error
		}
		if sold.RowsAffected == 0 {
			return errSoldOut
		}
		order = Order{Customer: customer, At: time.Now().UTC(), Lines: []Line{{ProductID: p.ID, Count: count}}}
		return tx.Create(&order).Error
	})
	return order, err
}

// newest are the latest orders, with what is in them.
func newest(db *gorm.DB, limit int) (orders []Order, err error) {
	err = db.Preload("Lines.Product").Order("id DESC").Limit(limit).Find(&orders).Error
	return orders, err
}
