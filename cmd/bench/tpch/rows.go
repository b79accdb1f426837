package tpch

func (g *generator) regions() {
	for i, name := range regionNames {
		g.roll(diceRegion, int64(i))
		g.whole(int64(i))
		g.text(name)
		g.comment(31, 115)
		g.end()
	}
}

func (g *generator) nations() {
	for i, n := range nationNames {
		g.roll(diceNation, int64(i))
		g.whole(int64(i))
		g.text(n.name)
		g.whole(n.region)
		g.comment(31, 114)
		g.end()
	}
}

// Of 10,000 suppliers so many have customers that complain, and as many such that
// recommend them.
const complaints = 5

func (g *generator) suppliers() {
	for key := int64(1); key <= g.of(10_000) && g.err == nil; key++ {
		g.roll(diceSupplier, key)
		nation := g.up(25)
		g.whole(key)
		g.numbered("Supplier#", 9, key)
		g.address()
		g.whole(nation)
		g.phone(nation)
		g.money(g.between(-99999, 999999))
		said := g.up(10_000)
		switch before := len(g.line); {
		case said < complaints:
			g.comment(25, 80)
			copy(g.line[before:], "Customer Complaints")
		case said < 2*complaints:
			g.comment(25, 80)
			copy(g.line[before:], "Customer Recommends")
		default:
			g.comment(25, 100)
		}
		g.end()
	}
}

// price returns what a part costs, in hundredths.
func price(part int64) int64 { return 90000 + part/10%20001 + 100*(part%1000) }

func (g *generator) parts() {
	for key := int64(1); key <= g.of(200_000) && g.err == nil; key++ {
		g.roll(dicePart, key)
		g.whole(key)
		g.name()
		maker := g.between(1, 5)
		g.numbered("Manufacturer#", 1, maker)
		g.numbered("Brand#", 2, 10*maker+g.between(1, 5))
		g.text(g.pick(types[0]) + " " + g.pick(types[1]) + " " + g.pick(types[2]))
		g.whole(g.between(1, 50))
		g.text(g.pick(containers[0]) + " " + g.pick(containers[1]))
		g.money(price(key))
		g.comment(5, 22)
		g.end()
	}
}

// name appends five colors, no two the same.
func (g *generator) name() {
	var chosen [5]int64
	for i := range chosen {
		n := g.up(int64(len(colors)))
		for j := 0; j < i; j++ {
			if chosen[j] == n {
				n, j = g.up(int64(len(colors))), -1
			}
		}
		chosen[i] = n
		g.line = append(append(g.line, colors[n]...), ' ')
	}
	g.line[len(g.line)-1] = '\t'
}

// suppliersOf is how many suppliers a part has.
const suppliersOf = 4

// supplier returns one of a part's suppliers.
func (g *generator) supplier(part, which int64) int64 {
	all := g.of(10_000)
	return (part+which*(all/suppliersOf+(part-1)/all))%all + 1
}

func (g *generator) partSuppliers() {
	for key := int64(1); key <= g.of(200_000) && g.err == nil; key++ {
		g.roll(dicePartSupplier, key)
		for which := range int64(suppliersOf) {
			g.whole(key)
			g.whole(g.supplier(key, which))
			g.whole(g.between(1, 9999))
			g.money(g.between(100, 100000))
			g.comment(49, 198)
			g.end()
		}
	}
}

func (g *generator) customers() {
	for key := int64(1); key <= g.of(150_000) && g.err == nil; key++ {
		g.roll(diceCustomer, key)
		nation := g.up(25)
		g.whole(key)
		g.numbered("Customer#", 9, key)
		g.address()
		g.whole(nation)
		g.phone(nation)
		g.money(g.between(-99999, 999999))
		g.oneOf(segments)
		g.comment(29, 116)
		g.end()
	}
}

// item is what an order has of a part.
type item struct {
	part, supplier, quantity, price, discount, tax int64
	shipped, committed, received                   int64 // days
}

// order is an order with its items.
type order struct {
	key, customer, day int64
	items              []item
}

// order rolls an order; the dice go on with its own texts, and then its items'.
func (g *generator) order(n int64, o *order) {
	g.roll(diceOrder, n)
	// A quarter of the keys is used: the first eight of 32.
	o.key = n/8*32 + n%8 + 1
	for o.customer = 3; o.customer%3 == 0; { // a third of the customers never orders
		o.customer = g.between(1, max(2, g.of(150_000)))
	}
	o.day = g.up(int64(len(g.days)) - lastOrder)
	o.items = o.items[:0]
	for range g.between(1, 7) {
		i := item{part: g.between(1, g.of(200_000)), quantity: g.between(1, 50), discount: g.up(11), tax: g.up(9)}
		i.supplier = g.supplier(i.part, g.up(suppliersOf))
		i.price = i.quantity * price(i.part)
		i.shipped, i.committed = o.day+g.between(1, 121), o.day+g.between(30, 90)
		i.received = i.shipped + g.between(1, 30)
		o.items = append(o.items, i)
	}
}

func (g *generator) orders() {
	var o order
	for n := int64(0); n < g.of(1_500_000) && g.err == nil; n++ {
		g.order(n, &o)
		total, open := int64(0), 0
		for _, i := range o.items {
			total += i.price * (100 - i.discount) / 100 * (100 + i.tax) / 100
			if i.shipped > today {
				open++
			}
		}
		status := "P"
		switch open {
		case 0:
			status = "F"
		case len(o.items):
			status = "O"
		}
		g.whole(o.key)
		g.whole(o.customer)
		g.text(status)
		g.money(total)
		g.date(o.day)
		g.oneOf(priorities)
		g.numbered("Clerk#", 9, g.between(1, g.of(1000)))
		g.whole(0)
		g.comment(19, 78)
		g.end()
	}
}

func (g *generator) items() {
	var o order
	for n := int64(0); n < g.of(1_500_000) && g.err == nil; n++ {
		g.order(n, &o)
		for number, i := range o.items {
			g.whole(o.key)
			g.whole(i.part)
			g.whole(i.supplier)
			g.whole(int64(number) + 1)
			g.money(100 * i.quantity)
			g.money(i.price)
			g.money(i.discount)
			g.money(i.tax)
			flag, status := "N", "F"
			if i.received <= today {
				flag = g.pick([]string{"R", "A"})
			}
			if i.shipped > today {
				status = "O"
			}
			g.text(flag)
			g.text(status)
			g.date(i.shipped)
			g.date(i.committed)
			g.date(i.received)
			g.oneOf(instructs)
			g.oneOf(modes)
			g.comment(10, 43)
			g.end()
		}
	}
}
