//! The commands.
fn main() {
    for case in compare::questions::all() {
        let time = case.run(100);
        println!("{:60} {:?}", case.name(), time / 100);
    }
}
