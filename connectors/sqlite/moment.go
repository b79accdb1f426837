package sqlite

import (
	"errors"
	"io/fs"
	"sync"
	"time"

	"headwater/connectors/driver"
)

const (
	pause = 5 * time.Millisecond
	// settle is how long after a write a file's time of change may be that of the
	// next write, too.
	settle = 20 * time.Millisecond
)

// lease is how long writers are kept out while a consumer takes nothing. After that the
// lock is given up; the next batch takes it again if nothing was written.
type lease struct {
	mu    sync.Mutex
	held  bool // the database
	kept  bool // the log's index
	timer *time.Timer
	// wanted says that the locks were had and are to be had again.
	wanted bool
}

const leaseTime = 10 * time.Second

// hold takes SQLite's own lock of readers, and finds in what log the newest
// content of which pages is. An ErrUnreachable says that a program writes.
func (f *dbFile) hold(files fs.FS, beside string) error {
	if err := f.share(); err != nil {
		return err
	}
	if err := f.rollBack(files, beside); err != nil {
		return err
	}
	return f.follow(files, beside)
}

// share locks the database if there are locks, and otherwise looks whether anybody
// writes.
func (f *dbFile) share() error {
	switch err := share(f.file); {
	case err == nil:
		f.lease.held, f.lease.wanted = true, true
		f.renew()
		return nil
	case errors.Is(err, errBusy) || writing(f.file):
		return f.busy()
	}
	return nil
}

func (f *dbFile) busy() error {
	return driver.E(driver.ErrUnreachable, nil, "%s is being written: another program is in the middle of a transaction; try again when it is done, or make a copy with VACUUM INTO", f.name)
}

// rollBack undoes, without writing, what a program left in the middle of a transaction:
// the old pages are in its journal.
func (f *dbFile) rollBack(files fs.FS, beside string) error {
	name := beside + "-journal"
	if !filled(files, name) {
		return nil
	}
	file, err := openRegular(files, name, name)
	if err != nil {
		if errors.Is(err, driver.ErrNotFound) {
			return nil // the transaction ended
		}
		return err
	}
	keep := false
	defer func() {
		if !keep {
			file.Close()
		}
	}()
	if over(file) {
		return nil
	}
	if writes(f.file, reservedByte, 1) {
		if f.lease.held {
			return nil // a transaction under way, which cannot reach the file
		}
		return f.busy()
	}
	info, err := file.Stat()
	if err != nil {
		return driver.E(driver.ErrBadData, err, "%s cannot be read", name)
	}
	if !f.lease.held || super(file, info.Size()) {
		return driver.E(driver.ErrUnsupported, nil, "%s is in the middle of a transaction (%s is there) that only SQLite can end: open it once with the program that writes it, or with the sqlite3 shell", f.name, name)
	}
	j, err := readJournal(file, info.Size())
	if err != nil {
		return driver.E(driver.ErrBadData, err, "%s is in the middle of a transaction, and its journal %s cannot be read", f.name, name)
	}
	if writes(f.file, reservedByte, 1) {
		return f.busy() // somebody began just now
	}
	if j.size == 0 {
		return nil // nothing had been written when the program ended
	}
	if _, err := file.ReadAt(f.stamp.journal[:], 0); err != nil {
		return driver.E(driver.ErrBadData, err, "%s cannot be read", name)
	}
	f.stamp.journaled = info.Size()
	f.journal, f.log, f.at, f.Layout.Size, keep = file, file, j.at, j.size, true
	f.size = int64(j.pages) * int64(j.size)
	return nil
}

// follow finds what a write-ahead log adds to the database, and locks both as they are.
// Programs can go on appending to the log.
func (f *dbFile) follow(files fs.FS, beside string) error {
	f.findIndex = func() (regular, error) { return openRegular(files, beside+"-shm", beside+"-shm") }
	if err := f.keepLog(); err != nil {
		return err
	}
	if !filled(files, beside+"-wal") {
		return nil
	}
	file, err := openRegular(files, beside+"-wal", beside+"-wal")
	if err != nil {
		if errors.Is(err, driver.ErrNotFound) {
			return f.busy() // the last program has closed it just now
		}
		return err
	}
	w, err := readWAL(file)
	if err != nil {
		file.Close()
		return driver.E(driver.ErrBadData, err, "%s-wal cannot be read", beside)
	}
	f.walFile, f.wal = file, w
	f.stamp.wal, f.stamp.frames, f.stamp.sums = w.header, w.frames, w.sum
	switch {
	case w.frames == 0: // one is kept open, to see whether a transaction comes
		return nil
	case f.log != nil:
		return driver.E(driver.ErrUnsupported, nil, "%s has a journal and a write-ahead log, which only SQLite can bring together: open it once with the program that writes it, or with the sqlite3 shell", f.name)
	}
	f.log, f.at, f.Layout.Size = file, w.at, w.size
	f.size = int64(w.pages) * int64(w.size)
	return nil
}

// inLog reports whether programs write to a log beside the database.
func (f *dbFile) inLog() bool { return f.header[18] == 2 }

// keepLog locks the log's index, if there is one and where there are locks.
func (f *dbFile) keepLog() error {
	if f.index == nil {
		index, err := f.findIndex()
		if err != nil {
			return nil // no program uses the log
		}
		f.index = index
	}
	switch err := keep(f.index); {
	case err == nil:
		f.lease.kept = true
	case errors.Is(err, errBusy):
		return f.busy() // the log is being copied into the file
	}
	return nil
}

// settled waits until another write would change the file's time, and notes the state of
// the file: not every file system has the locks that keep writers out.
func (f *dbFile) settled() error {
	for {
		info, err := f.file.Stat()
		if err != nil {
			return driver.E(driver.ErrBadData, err, "%s cannot be read", f.name)
		}
		f.stamp.inode, f.stamp.size, f.stamp.modified = inode(info), info.Size(), info.ModTime().UnixNano()
		if _, err := f.file.ReadAt(f.stamp.header[:], 0); err != nil && info.Size() >= int64(len(f.stamp.header)) {
			return driver.E(driver.ErrBadData, err, "%s cannot be read", f.name)
		}
		age := time.Since(info.ModTime())
		if age >= settle || age < 0 {
			return nil
		}
		time.Sleep(settle - age)
		if again, err := f.file.Stat(); err != nil || !again.ModTime().Equal(info.ModTime()) {
			return f.busy()
		}
	}
}

// unchanged fails with ErrUnreachable if what was read may not be what the database had
// at this moment. Locks prevent that; this also notices writers that ignore them.
func (f *dbFile) unchanged() error {
	held, err := f.again()
	if err != nil {
		return err
	}
	if !held && writing(f.file) {
		return f.busy()
	}
	var header [100]byte
	n, err := f.file.ReadAt(header[:], 0)
	info, err2 := f.file.Stat()
	if n < len(header) && err != nil || err2 != nil || header != f.stamp.header || info.Size() != f.stamp.size || info.ModTime().UnixNano() != f.stamp.modified || f.wal != nil && !f.wal.stands() {
		return driver.E(driver.ErrUnreachable, nil, "%s changed while it was read; try again when no program writes to it, or make a copy with VACUUM INTO and read that", f.name)
	}
	return nil
}

// renew extends the lease of the locks.
func (f *dbFile) renew() {
	if f.lease.timer == nil {
		f.lease.timer = time.AfterFunc(leaseTime, f.letGo)
		return
	}
	f.lease.timer.Reset(leaseTime)
}

// again takes the locks that a slow consumer lost, and those of a log that a program has
// begun to use. unchanged tells whether something was written meanwhile.
func (f *dbFile) again() (held bool, err error) {
	f.lease.mu.Lock()
	defer f.lease.mu.Unlock()
	if !f.lease.wanted {
		return false, nil
	}
	if !f.lease.held {
		if err := f.share(); err != nil {
			return false, err
		}
	}
	if !f.lease.kept && f.inLog() {
		if err := f.keepLog(); err != nil {
			return false, err
		}
	}
	f.renew()
	return true, nil
}

// letGo ends the locks.
func (f *dbFile) letGo() {
	f.lease.mu.Lock()
	defer f.lease.mu.Unlock()
	if f.lease.held {
		letGo(f.file, sharedBytes, sharedLength)
	}
	if f.lease.kept {
		letGo(f.index, copyByte, 1)
		letGo(f.index, anewByte, 1)
	}
	f.lease.held, f.lease.kept = false, false
}

// release ends the moment: from here on the file may change.
func (f *dbFile) release() {
	f.lease.mu.Lock()
	f.lease.wanted = false
	if f.lease.timer != nil {
		f.lease.timer.Stop()
	}
	f.lease.mu.Unlock()
	f.letGo()
}
