package values

// two reads two digits, or returns a number over 99.
func two(v []byte) int {
	a, b := v[0]-'0', v[1]-'0'
	if a > 9 || b > 9 {
		return 1000
	}
	return int(a)*10 + int(b)
}

// Date reads YYYY-MM-DD of the years 0001 to 9999 as days since 1970.
func Date(v []byte) (int32, bool) {
	if len(v) != 10 || v[4] != '-' || v[7] != '-' {
		return 0, false
	}
	century, year, month, day := two(v), two(v[2:]), two(v[5:]), two(v[8:])
	if century > 99 || year > 99 || month < 1 || month > 12 || day < 1 || day > 31 || century+year == 0 {
		return 0, false
	}
	year += century * 100
	leap := year%4 == 0 && (year%100 != 0 || year%400 == 0)
	if day > monthDays[month] && !(day == 29 && month == 2 && leap) {
		return 0, false
	}
	// Years that begin in March have their leap day at the end.
	if month <= 2 {
		year--
		month += 12
	}
	days := 365*year + year/4 - year/100 + year/400 + (153*(month-3)+2)/5 + day - 1
	return int32(days - 719468), true
}

var monthDays = [13]int{0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

// Clock reads HH:MM:SS with up to six digits after the point as
// microseconds and returns what follows.
func Clock(v []byte) (micros int64, rest []byte, ok bool) {
	if len(v) < 8 || v[2] != ':' || v[5] != ':' {
		return 0, nil, false
	}
	h, m, s := two(v), two(v[3:]), two(v[6:])
	if h > 23 || m > 59 || s > 59 {
		return 0, nil, false
	}
	micros = int64(h*3600+m*60+s) * 1e6
	v = v[8:]
	if len(v) > 0 && v[0] == '.' {
		unit, i := int64(1e5), 1
		for ; i < len(v) && v[i]-'0' <= 9; i++ {
			if unit == 0 && v[i] != '0' {
				return 0, nil, false
			}
			micros += int64(v[i]-'0') * unit
			unit /= 10
		}
		if i == 1 {
			return 0, nil, false
		}
		v = v[i:]
	}
	return micros, v, true
}

// Timestamp reads an ISO 8601 date and time, with "T" or a space between
// them, as microseconds since 1970. zoned tells whether it ended in Z or an
// offset, which is then applied.
func Timestamp(v []byte) (micros int64, zoned, ok bool) {
	if len(v) < 19 || v[10] != ' ' && v[10] != 'T' {
		return 0, false, false
	}
	days, ok := Date(v[:10])
	if !ok {
		return 0, false, false
	}
	clock, zone, ok := Clock(v[11:])
	if !ok {
		return 0, false, false
	}
	micros = int64(days)*86400e6 + clock
	if len(zone) == 0 {
		return micros, false, true
	}
	if len(zone) == 1 && zone[0] == 'Z' {
		return micros, true, true
	}
	sign := int64(1)
	switch zone[0] {
	case '+':
	case '-':
		sign = -1
	default:
		return 0, false, false
	}
	zone = zone[1:]
	var h, m int
	switch {
	case len(zone) == 2:
		h = two(zone)
	case len(zone) == 4:
		h, m = two(zone), two(zone[2:])
	case len(zone) == 5 && zone[2] == ':':
		h, m = two(zone), two(zone[3:])
	default:
		return 0, false, false
	}
	if h > 18 || m > 59 {
		return 0, false, false
	}
	return micros - sign*int64(h*60+m)*60e6, true, true
}
